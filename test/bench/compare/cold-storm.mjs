// A cold storm: many clients ask at once for what no cache has; in a second form one slow client has asked just before.
import { cost, eachInTurn, inRounds, summarize, wake } from './measure.mjs'
import { faults, judge, requestFile, truth } from './requests.mjs'
import { load, startLoad } from './tools.mjs'

export const title = 'Cold storm'

/** What makes a connection over loopback like one over a real, slow line. */
export const slowLine = { pace: 50_000, rcvbuf: 4096, mss: 1460 }

export async function run({ contenders, repositories, quick, short }, { slowFirst = false } = {}) {
  const { small, middle, large, huge } = repositories
  const clients = quick ? 100 : 200
  const elsewhere = requestFile(middle, 'advertisement', { closing: true })
  const rows = []
  for (const repository of [large, huge].filter(Boolean)) {
    const requests = requestFile(repository, 'advertisement', { closing: true })
    const expected = truth(repository, 'advertisement')
    for (const round of inRounds(contenders, quick || short ? 1 : 3)) {
      await eachInTurn(round, async (server) => {
        await wake(server, small, quick)
        // Storms run other code than hits do.
        await load('burst', { port: server.port, requests: elsewhere, clients, timeout: 300 })
        const options = { port: server.port, requests, timeout: 300 }
        const { result, ...costs } = await cost(server, async () => {
          const slow = slowFirst && startLoad('slow', { ...options, ...slowLine, clients: 1, seconds: 600 })
          if (slow) await slow.asked
          const figures = await load('burst', { ...options, clients })
          if (!slow) return figures
          slow.stop()
          const beside = await slow.result
          return { ...figures, cpuSeconds: figures.cpuSeconds + beside.cpuSeconds }
        })
        const { first, last } = result
        rows.push({
          ...{ server: server.name, clients, refs: repository.refs, bytes: expected.length, ...costs },
          ...{ firstP50: first.p50, firstP99: first.p99, lastP50: last.p50, lastP99: last.p99 },
          generatorBusy: result.busy,
          faults: faults(judge(result.answers, expected)),
        })
      })
    }
  }
  return { rows: summarize(rows, ['refs', 'server']), rounds: rows }
}
