// Polls, as clients make them all day: each on a new connection, at a fixed rate whether or not earlier ones are answered.
import { referenceServers } from './contenders.mjs'
import { cost, eachInTurn, wake, warm } from './measure.mjs'
import { answerPath, faults, judge, requestFile, truth } from './requests.mjs'
import { load } from './tools.mjs'

export const title = 'Polls on new connections'

const rate = 500
/** Caches pass POSTs, so that each is a Git process: two cores serve 360 a second at most. */
const passedRate = 50
const kinds = ['ls-refs', 'ls-refs, whole list', 'capabilities', 'advertisement']

/** Seconds for each kind of poll: of refstream, of another cache, and where only CPU and the median are of interest. */
function times({ quick, short }) {
  if (quick) return { ours: 2.5, others: 1, passed: 1 }
  return short ? { ours: 30, others: 15, passed: 5 } : { ours: 150, others: 60, passed: 15 }
}

export async function run({ contenders, repositories, quick, short }) {
  const { small } = repositories
  const time = times({ quick, short })
  const expected = Object.fromEntries(kinds.map((kind) => [kind, truth(small, kind)]))
  const floor = referenceServers().filter(({ name }) => name === 'bare node:http')
  const caches = contenders.filter(({ isPlainGit }) => !isPlainGit)
  const rows = []
  await eachInTurn([...caches, ...floor], async (server, contender) => {
    const isFloor = floor.includes(contender)
    if (!isFloor) await wake(server, small, quick)
    for (const kind of kinds) {
      const passes = !isFloor && server.name !== 'refstream' && kind.startsWith('ls-refs')
      const requests = requestFile(small, kind, isFloor ? { path: answerPath(small, kind) } : {})
      await warm(server, requests)
      const options = { port: server.port, requests, rate: passes ? passedRate : rate, even: 1, timeout: 30 }
      const seconds = server.name === 'refstream' ? time.ours : isFloor || passes ? time.passed : time.others
      // Connections that are new cost other code than those that are kept.
      await load('open', { ...options, seconds: quick ? 0.5 : 3 })
      const { result, ...costs } = await cost(server, () => load('open', { ...options, seconds }))
      const { last, late } = result
      rows.push({
        ...{
          kind,
          server: server.name,
          refs: small.refs,
          rate: options.rate,
          polls: result.requests,
          ...costs,
        },
        ...{ p50: last.p50, p99: last.p99, p999: last.p999, worst: last.max, lateP99: late.p99 },
        cpuPerPoll: (costs.cpuSeconds * 1000) / result.requests,
        bothPerPoll: (costs.bothSeconds * 1000) / result.requests,
        faults: faults(judge(result.answers, expected[kind])),
      })
    }
  })
  return { rows: rows.sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind)) }
}
