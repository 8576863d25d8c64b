// A restart on a warm cache directory: the time from its start until a client has its first whole, right answer.
import { cost, eachInTurn, summarize, warm } from './measure.mjs'
import { faults, judge, requestFile, truth } from './requests.mjs'
import { load } from './tools.mjs'

export const title = 'Restart'

export async function run({ contenders, repositories, quick }) {
  const { large } = repositories
  const requests = requestFile(large, 'advertisement', { closing: true })
  const expected = truth(large, 'advertisement')
  const rows = []
  for (let round = 0; round < (quick ? 1 : 5); round++) {
    await eachInTurn(contenders, async (server) => {
      await warm(server, requests)
      await server.halt()
      const launched = server.launch()
      const { result, processes } = await cost(server, () =>
        load('first', { port: server.port, requests, timeout: 60 }),
      )
      await launched
      rows.push({
        ...{ server: server.name, ms: result.last.max, processes, refs: large.refs },
        cpuSeconds: server.cpuSeconds(),
        faults: faults(judge(result.answers, expected)),
      })
    })
  }
  return { rows: summarize(rows, ['server']), rounds: rows }
}
