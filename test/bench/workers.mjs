// One worker and two, in turn, in one run: small warm answers, a storm on a cold key, and a storm of pushes.
//
//   make build && node test/bench/workers.mjs       QUICK=1 for a short run
//
// The load generator, one thread of C, takes part of the cores that the workers could use. So requests a second say what
// this machine does with both; what two workers could do on cores of their own follows from the CPU time of a request.
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { childPids, cpuSeconds, makeRepository, median, root, startRefstream, table } from './rig.mjs'
import { requestFile } from './compare/requests.mjs'
import { countingGit, countProcesses, load } from './compare/tools.mjs'

const isQuick = Boolean(process.env.QUICK)
const [seconds, rounds, largeRefs] = isQuick ? [2, 3, 20_000] : [5, 5, 100_000]
const [keepAlive, storm] = [32, 200]

makeRepository('small.git', 20)
makeRepository('large.git', largeRefs)
const small = { name: 'small.git' }
const large = { name: 'large.git' }

/** CPU seconds of all processes of a server: the one that was started, its workers, and the Git processes that have ended. */
const cpuOf = ({ pid }) => [pid, ...childPids(pid)].reduce((sum, each) => sum + cpuSeconds(each), 0)

const answered = ({ answers }) => {
  const wrong = answers.filter(({ result, status }) => result !== 'ok' || status !== 200)
  if (wrong.length > 0) throw new Error(`wrong answers: ${JSON.stringify(wrong)}`)
  return answers.reduce((sum, { count }) => sum + count, 0)
}

/** Asks on connections that ask again as soon as they have an answer. */
const closed = (repository, kind, options = {}) => {
  const requests = requestFile(repository, kind, options)
  return ({ port }) => load('closed', { port, requests, clients: keepAlive, seconds })
}

const git = (...args) =>
  execFileSync('git', ['-c', 'user.name=b', '-c', 'user.email=b@example.com', ...args], {
    cwd: join(root, small.name),
    input: '',
  })
    .toString()
    .trim()
const one = git('rev-parse', 'refs/heads/branch-number-0000000')
const commits = [one, git('commit-tree', `${one}^{tree}`, '-m', 'two')]

/** Moves a branch for as long as some work takes. @returns what that resolves with, and how many states there were */
async function whilePushing(work) {
  let [isOver, states] = [false, 1]
  const running = work().finally(() => (isOver = true))
  while (!isOver) {
    git('update-ref', 'refs/heads/moving', commits[states++ % 2])
    await sleep(50)
  }
  return { figures: await running, states }
}

/** Scenario → what is done to a server that has answered once; `cold`: to one that has not. */
const scenarios = {
  'advertisement, keep-alive': { run: closed(small, 'advertisement') },
  'advertisement, a connection each': { run: closed(small, 'advertisement', { closing: true }) },
  'ls-refs, keep-alive': { run: closed(small, 'ls-refs') },
  'storm on a cold key': {
    isCold: true,
    run: ({ port }) =>
      load('burst', {
        port,
        requests: requestFile(large, 'advertisement', { closing: true }),
        clients: storm,
      }),
  },
  'storm of pushes': { isPushed: true, run: closed(small, 'advertisement') },
}

async function measure(workers, { run, isCold, isPushed }) {
  const server = await startRefstream('--workers', String(workers), '--git', countingGit)
  const port = Number(new URL(server.url).port)
  try {
    if (!isCold) await load('first', { port, requests: requestFile(small, 'advertisement') })
    // All workers have the answer then.
    if (!isCold && !isPushed) await run({ port })
    const since = countProcesses()
    const before = cpuOf(server)
    const work = () => run({ port })
    const { figures, states } = isPushed
      ? await whilePushing(work)
      : { figures: await work(), states: isCold ? 1 : 0 }
    const cpu = cpuOf(server) - before
    const count = answered(figures)
    const { uploadPack } = since()
    return {
      rate: count / figures.seconds,
      cpuMs: (cpu * 1000) / count,
      cores: cpu / figures.seconds,
      generator: figures.busy,
      processes: states ? uploadPack / states : uploadPack,
    }
  } finally {
    await server.stop()
  }
}

const rows = []
for (const [name, scenario] of Object.entries(scenarios)) {
  const seen = { 1: [], 2: [] }
  for (let round = 0; round < rounds; round++) {
    for (const workers of [1, 2]) seen[workers].push(await measure(workers, scenario))
  }
  const of = (workers, figure) => median(seen[workers].map((each) => each[figure]))
  for (const workers of [1, 2]) {
    const ratio = median(seen[workers].map(({ rate }, round) => rate / seen[1][round].rate))
    rows.push([
      ...[name, workers, Math.round(of(workers, 'rate')), ratio.toFixed(2)],
      ...[of(workers, 'cpuMs').toFixed(3), of(workers, 'cores').toFixed(2)],
      ...[of(workers, 'generator').toFixed(2), of(workers, 'processes').toFixed(2)],
      // Each worker has a core of its own, and the generator none of them.
      Math.round((workers * 1000) / of(workers, 'cpuMs')),
    ])
  }
}
console.log(
  `${availableParallelism()} cores, shared with the load generator; medians of ${rounds} rounds; ${keepAlive} clients, ` +
    `${storm} in the storm on ${largeRefs} refs\n`,
)
console.log(
  table(
    [
      ...['scenario', 'workers', 'requests/s', 'ratio', 'CPU ms per request', 'cores used'],
      ...['cores of the generator', 'Git processes per state', 'requests/s that the CPU would allow'],
    ],
    rows,
  ).join('\n'),
)
