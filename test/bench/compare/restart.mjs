// A restart on a warm cache directory: the time from its start until a client has its first whole, right answer, and memory
// at rest before and after that.
import { setTimeout as sleep } from 'node:timers/promises'
import { cost, eachInTurn, inRounds, summarize, warm } from './measure.mjs'
import { faults, judge, requestFile, truth } from './requests.mjs'
import { load } from './tools.mjs'

export const title = 'Restart'

export async function run({ contenders, repositories, quick }) {
  const { large } = repositories
  const requests = requestFile(large, 'advertisement', { closing: true })
  const expected = truth(large, 'advertisement')
  const rows = []
  for (const round of inRounds(contenders, quick ? 1 : 5)) {
    await eachInTurn(round, async (server) => {
      await warm(server, requests)
      await server.halt()
      const launched = server.launch()
      const { result, processes } = await cost(server, () =>
        load('first', { port: server.port, requests, timeout: 60 }),
      )
      await launched
      const cpuSeconds = server.cpuSeconds()
      const rest = async () => {
        await sleep(quick ? 1000 : 3000)
        return { resident: server.residentBytes() / 1e6, shared: server.memoryBytes() / 1e6 }
      }
      const after = await rest()
      await server.halt()
      await server.launch()
      const before = await rest()
      rows.push({
        ...{ server: server.name, ms: result.last.max, processes, refs: large.refs },
        cpuSeconds,
        ...{ restMegabytes: before.resident, afterMegabytes: after.resident, sharedMegabytes: before.shared },
        faults: faults(judge(result.answers, expected)),
      })
    })
  }
  return { rows: summarize(rows, ['server']), rounds: rows }
}
