import t from 'tap'
import type { Test } from 'tap'
import { violations } from '../support/history.js'
import { createHistoryRepository } from '../support/history-repository.js'
import { runHistory, type RunOptions } from '../support/history-run.js'
import { startPlainServer } from '../support/plain-server.js'
import { createGitReader } from '../support/readers.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const seed = Number(process.env['REFSTREAM_SEED'] ?? Date.now() % 1_000_000)
const rounds = Number(process.env['REFSTREAM_ROUNDS'] ?? 5)
/** Many processes run at once; a busy machine takes long. */
t.setTimeout(600_000)

/** A history that is written at a server and read through one refstream or more in a row, the last of which is `near`. */
async function history(
  t: Test,
  hops: readonly (readonly string[])[],
  run: Pick<RunOptions, 'mode' | 'bound'>,
): Promise<void> {
  const root = tempDir(t)
  const repository = createHistoryRepository(t, root, 'files')
  const server = await startPlainServer(t, root)
  const sidecars: SpawnedSidecar[] = []
  for (const args of hops) {
    const upstream = sidecars.at(-1)?.url ?? server
    sidecars.push(await startSidecar(t, undefined, { args: ['--upstream', upstream, ...args] }))
  }
  const near = sidecars.at(-1)!
  const { url, adminUrl } = near
  const work = tempDir(t)
  const {
    writes,
    reads,
    violations: found,
  } = await runHistory({
    ...{ repository, url, adminUrl, seed, length: { rounds }, ...run },
    moreReaders: (registers) =>
      ([0, 2] as const).map((version) => createGitReader(url, repository.path, registers, version, work)),
  })
  t.same(found, [], `no answer is older than it may be (seed ${seed})`)
  if (run.bound) {
    // Pushes that pass through hold a lease.
    const pushed = writes.filter(({ register }) => register.startsWith('refs/heads/pushed/'))
    t.ok(pushed.length > 2)
    t.same(violations(pushed, reads), [], 'what is pushed through it is seen at once')
  }
  for (const [index, sidecar] of sidecars.entries()) {
    const count = (cause?: string): Promise<number> =>
      sidecar.metric('refstream_upstream_requests_total', cause === undefined ? {} : { cause })
    const asked = (await count('client')) + (await count('refresh'))
    const answered = await sidecar.metric('refstream_upstream_client_requests_total')
    t.comment(
      `refstream ${index + 1}: ${writes.length} writes, ${reads.length} reads, ${answered} questions, ${asked} asked`,
    )
    t.ok(asked <= answered, 'the upstream is asked at most as often as clients ask')
    if (sidecar === near) t.ok(asked < answered, 'clients share questions')
    t.equal(await sidecar.metric('refstream_upstream_stale_answers_total'), 0)
    t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'error' }), 0)
  }
  t.ok(reads.length > 50, 'readers read often')
}

const bounded = (seconds: number): string[] => ['--upstream-freshness', `**=bounded:${seconds}`]

t.test('exact: no answer is older than its request', { timeout: 0 }, (t) =>
  history(t, [[]], { mode: 'observe' }),
)

t.test('exact, over two refstreams in a row', { timeout: 0 }, (t) =>
  history(t, [[], []], { mode: 'observe' }),
)

t.test('bounded: each answer is at most as old as the bound', { timeout: 0 }, (t) =>
  history(t, [bounded(1)], { mode: 'observe', bound: { maxAgeMs: 1000 } }),
)

t.test('bounded, over two refstreams in a row: the bounds add up', { timeout: 0 }, (t) =>
  history(t, [bounded(1), bounded(1)], { mode: 'observe', bound: { maxAgeMs: 2000 } }),
)

t.test(
  'bounded: a lease makes answers exact while it is open, and ends the age of what is kept',
  { timeout: 0 },
  (t) => history(t, [bounded(60)], { mode: 'lease' }),
)

t.test('bounded: an invalidation ends the age of what is kept at once', { timeout: 0 }, (t) =>
  history(t, [bounded(60)], { mode: 'invalidate', bound: { maxAgeMs: 0 } }),
)
