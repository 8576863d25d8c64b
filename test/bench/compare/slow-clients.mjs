// Many slow clients on one warm entry: what each costs the server in memory, and what a fast client notices.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../rig.mjs'
import { slowLine } from './cold-storm.mjs'
import { cost, eachInTurn, summarize, wake, warm } from './measure.mjs'
import { faults, judge, requestFile, truth } from './requests.mjs'
import { load, startLoad } from './tools.mjs'

export const title = 'Slow clients'

/** Kernel memory of all TCP sockets of this machine in bytes, /proc/net/sockstat. */
const socketBytes = () =>
  Number(/^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))[1]) * 4096

export async function run({ contenders, repositories, quick }) {
  const { small, large } = repositories
  const [clients, seconds] = quick ? [300, 2] : [2000, 15]
  const requests = requestFile(large, 'advertisement', { closing: true })
  const expected = truth(large, 'advertisement')
  const rows = []
  await eachInTurn(contenders, async (server) => {
    await wake(server, small, quick)
    const options = { port: server.port, requests, timeout: 60 }
    const fast = async () => {
      const reads = []
      for (let turn = 0; turn < (quick ? 3 : 10); turn++)
        reads.push(await load('burst', { ...options, clients: 1 }))
      const counts = judge(
        reads.flatMap(({ answers }) => answers),
        expected,
      )
      return { ms: median(reads.map(({ last }) => last.max || Infinity)), faults: faults(counts) }
    }
    await warm(server, requests)
    const alone = await fast()
    const [memory, sockets] = [server.memoryBytes(), socketBytes()]
    const slow = startLoad('slow', { ...options, ...slowLine, clients, seconds: 600, timeout: 600 })
    // A server that lets not all in does not hold this up.
    await Promise.race([slow.asked, sleep(10_000)])
    const { cpuSeconds, bothSeconds, processes } = await cost(server, async () => {
      const before = slow.seconds()
      await sleep(seconds * 1000)
      return { cpuSeconds: slow.seconds() - before }
    })
    const [memoryAfter, socketsAfter] = [server.memoryBytes(), socketBytes()]
    const beside = await fast()
    slow.stop()
    const { underWay, requests: ended, busy } = await slow.result
    rows.push({
      ...{
        server: server.name,
        clients,
        answered: underWay,
        ended,
        cpuSecondsPerSecond: cpuSeconds / seconds,
        bothSecondsPerSecond: bothSeconds / seconds,
      },
      ...{ processes, megabytes: memoryAfter / 1e6 },
      kilobytesPerClient: (memoryAfter - memory) / 1024 / clients,
      kernelKilobytesPerClient: (socketsAfter - sockets) / 1024 / clients,
      ...{ aloneMs: alone.ms, besideMs: beside.ms, generatorBusy: busy, faults: beside.faults },
    })
  })
  return { rows: summarize(rows, ['server']), rounds: rows }
}
