// Warm hits by size: what an answer from a cache costs, beside two servers that have nothing to decide.
import { referenceServers } from './contenders.mjs'
import { cost, eachInTurn, inRounds, summarize, wake, warm } from './measure.mjs'
import { faults, judge, requestFile, truth } from './requests.mjs'
import { load } from './tools.mjs'

export const title = 'Warm hits'

export async function run({ contenders, repositories, quick, short }) {
  const { small, middle, large, huge } = repositories
  const cases = [small, middle, large, huge]
    .filter(Boolean)
    .map((repository) => ({ repository, kind: 'advertisement' }))
    .concat({ repository: small, kind: 'capabilities' }, { repository: large, kind: 'ls-refs' })
    .map((each) => ({
      ...each,
      requests: requestFile(each.repository, each.kind),
      truth: truth(each.repository, each.kind),
    }))
  const references = referenceServers().filter(({ missing }) => missing.length === 0)
  const rows = []
  for (const round of inRounds([...contenders, ...references], quick || short ? 1 : 3)) {
    await eachInTurn(round, async (server, contender) => {
      if (contenders.includes(contender)) await wake(server, small, quick)
      for (const { repository, kind, requests, truth } of cases) {
        if (!contenders.includes(contender) && kind !== 'advertisement') continue
        await warm(server, requests)
        const clients = truth.length > 1e6 ? 8 : 32
        const options = { port: server.port, requests, clients, seconds: quick ? 0.5 : 4, timeout: 60 }
        // Machines of our time run hot code faster: a first, short run does not count.
        await load('closed', { ...options, seconds: quick ? 0.2 : 1 })
        const { result, ...costs } = await cost(server, () => load('closed', options))
        rows.push({
          ...{ server: server.name, kind, refs: repository.refs, bytes: truth.length, ...costs },
          requestsPerSecond: result.requests / result.seconds,
          megabytesPerSecond: result.bytes / 1e6 / result.seconds,
          cpuPerGigabyte: costs.cpuSeconds / (result.bytes / 1e9),
          cpuPerThousand: costs.cpuSeconds / (result.requests / 1000),
          bothPerGigabyte: costs.bothSeconds / (result.bytes / 1e9),
          bothPerThousand: costs.bothSeconds / (result.requests / 1000),
          p99: result.last.p99,
          generatorBusy: result.busy,
          faults: faults(judge(result.answers, truth)),
        })
      }
    })
  }
  return { rows: summarize(rows, ['kind', 'refs', 'server']).sort((a, b) => order(a, b)), rounds: rows }
}

const kinds = ['advertisement', 'capabilities', 'ls-refs']
const order = (a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || a.refs - b.refs
