// Cost against connections: many that are open and idle beside one that asks, and many that ask at once.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { cost } from '../compare/measure.mjs'
import { requestFile, truth } from '../compare/requests.mjs'
import { startLoad } from '../compare/tools.mjs'
import { makeRepository } from '../rig.mjs'
import { closedLoop, memory, onRefstream } from './measure.mjs'

const repository = { name: 'connections.git' }

/** Kernel memory of all TCP sockets in bytes, on both sides; /proc/net/sockstat. */
const socketBytes = () =>
  Number(/^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))[1]) * 4096

const sizeOfIdle = (idle, { requests, expected, quick }) =>
  onRefstream(async (server) => {
    // Code that is warm, and memory for it, before anything is counted.
    const one = { requests, clients: 1, seconds: quick ? 0.5 : 3, expected }
    await closedLoop(server, { ...one, clients: 16 })
    const [before, sockets] = [memory(server).resident, socketBytes()]
    const holding = startLoad('idle', { port: server.port, requests, clients: idle, timeout: 60 })
    await Promise.race([holding.asked, sleep(30_000, undefined, { ref: false })])
    const [after, socketsAfter] = [memory(server).resident, socketBytes()]
    const seconds = quick ? 1 : 5
    const waiting = await cost(server, () => sleep(seconds * 1000))
    const active = await closedLoop(server, one)
    holding.stop()
    const { underWay } = await holding.result
    return {
      ...{ idle, stillOpen: underWay, idleMs: (waiting.cpuSeconds * 1000) / seconds },
      kilobytes: ((after - before) * 1000) / idle,
      kernelKilobytes: (socketsAfter - sockets) / 1024 / idle,
      ...{ cpuMs: active.cpuMs, p50: active.p50, p99: active.p99 },
      faults: active.faults || (underWay === idle ? '' : `${idle - underWay} closed`),
    }
  })

const sizeOfActive = (clients, { requests, expected, quick }) =>
  onRefstream(async (server) => {
    const figures = await closedLoop(server, { requests, clients, seconds: quick ? 1 : 5, expected })
    const { cpuMs, bothMs, perSecond, p50, p99, faults } = figures
    return { active: clients, perSecond, cpuMs, bothMs, p50, p99, resident: memory(server).resident, faults }
  })

export async function run({ quick, each }) {
  makeRepository(repository.name, 20)
  const setup = {
    requests: requestFile(repository, 'advertisement'),
    expected: truth(repository, 'advertisement'),
    quick,
  }
  return [
    {
      title: 'Idle connections, and one that asks',
      by: 'idle',
      columns: {
        stillOpen: { head: 'still open at the end' },
        idleMs: { head: 'nobody asks: CPU ms per s', line: 'constant' },
        kilobytes: { head: 'KB each' },
        kernelKilobytes: { head: 'kernel, KB each, both sides' },
        cpuMs: { head: 'one asks: CPU ms per request', line: 'constant' },
        p50: { head: 'p50, ms', line: 'constant' },
        p99: { head: 'p99, ms', line: 'constant' },
      },
      rows: await each([100, 1000, 10_000], (count) => sizeOfIdle(count, setup)),
    },
    {
      title: 'Connections that all ask',
      by: 'active',
      columns: {
        perSecond: { head: 'requests/s' },
        cpuMs: { head: 'CPU ms per request', line: 'constant' },
        bothMs: { head: 'with generator, ms', line: 'constant' },
        p50: { head: 'p50, ms', line: 'linear' },
        p99: { head: 'p99, ms', line: 'linear' },
        resident: { head: 'RSS, MB' },
      },
      rows: await each([100, 500, 2000], (count) => sizeOfActive(count, setup)),
    },
  ]
}
