// One worker and two: small warm answers, a storm on a cold key, and a storm of pushes. The load generator, one thread, takes
// part of the cores that the workers could use.
import { workerContenders } from './contenders.mjs'
import { cost, eachInTurn, summarize, wake, warm } from './measure.mjs'
import { storm } from './mutation-storm.mjs'
import { faults, judge, requestFile, truth } from './requests.mjs'
import { load } from './tools.mjs'

export const title = 'One worker and two'
const pushesPerSecond = 20
const pushed = `advertisement, ${pushesPerSecond} pushes a second`

export async function run({ repositories, quick }) {
  const { small, middle, large } = repositories
  const [seconds, rounds] = quick ? [1, 1] : [4, 3]
  const cold = quick ? middle : large
  const closed = (kind, options) => ({
    repository: small,
    kind,
    requests: requestFile(small, kind, options),
    run: (port, requests) => load('closed', { port, requests, clients: 32, seconds }),
  })
  const cases = {
    'advertisement, a connection each': closed('advertisement', { closing: true }),
    'advertisement, 32 kept connections': closed('advertisement'),
    'ls-refs, 32 kept connections': closed('ls-refs'),
    'storm of 200 on a cold key': {
      repository: cold,
      kind: 'advertisement',
      isCold: true,
      requests: requestFile(cold, 'advertisement', { closing: true }),
      run: (port, requests) => load('burst', { port, requests, clients: 200, timeout: 120 }),
    },
  }
  const expected = Object.values(cases).map(({ repository, kind }) => truth(repository, kind))
  const rows = []
  const note = (server, kind, refs, figures, costs) =>
    rows.push({
      ...{ kind, server, refs, ...costs },
      requestsPerSecond: figures.requests / figures.seconds,
      cpuPerThousand: (costs.cpuSeconds * 1000) / figures.requests,
      bothPerThousand: (costs.bothSeconds * 1000) / figures.requests,
      coresUsed: costs.cpuSeconds / figures.seconds,
      generatorBusy: figures.busy,
    })
  const contenders = workerContenders()
  for (let round = 0; round < rounds; round++) {
    await eachInTurn(contenders, async (server) => {
      await wake(server, small, quick)
      for (const [index, [kind, each]] of Object.entries(cases).entries()) {
        const { repository, requests, isCold, run } = each
        if (!isCold) await warm(server, requests)
        // Each worker is to have the answer, and its code warm.
        if (!isCold) await run(server.port, requests)
        const { result, ...costs } = await cost(server, () => run(server.port, requests))
        note(server.name, kind, repository.refs, result, costs)
        rows.at(-1).faults = faults(judge(result.answers, expected[index]))
      }
    })
  }
  const options = { perSecond: pushesPerSecond, clients: 32, seconds: quick ? 2 : 10, rounds }
  for (const row of await storm({ contenders, repositories, quick }, small, options))
    rows.push({
      ...row,
      kind: pushed,
      requestsPerSecond: row.readsPerSecond,
      coresUsed: row.cpuSeconds / row.seconds,
    })
  const order = [...Object.keys(cases), pushed]
  const sums = summarize(rows, ['kind', 'server']).sort(
    (a, b) => order.indexOf(a.kind) - order.indexOf(b.kind),
  )
  const one = ({ kind }) => sums.find((row) => row.kind === kind && row.server === contenders[0].name)
  for (const row of sums) row.ratio = row.requestsPerSecond / one(row)?.requestsPerSecond
  return { rows: sums, rounds: rows }
}
