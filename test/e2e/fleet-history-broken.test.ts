import t from 'tap'
import type { Test } from 'tap'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EngineGate } from '../../src/fleet/engine-gate.js'
import { EpochWatch } from '../../src/freshness/fleet/epoch-watch.js'
import { FreshCache } from '../../src/freshness/fresh-cache.js'
import { startServer, type Sidecar } from '../../src/index.js'
import { staleAnswer } from '../support/history.js'
import { startRedis, skipRedis } from '../support/fleet/redis.js'
import { createHistoryRepository } from '../support/history-repository.js'
import { runHistory, type History } from '../support/history-run.js'
import { ask, infoRefs } from '../support/http-client.js'
import { tempDir } from '../support/temp-dir.js'

/** A history under two nodes in this process, with leases opened at the first and, in the mode `lease`, reads at the second. */
async function history(t: Test, mode: 'observe' | 'lease', seed: number): Promise<History> {
  const root = tempDir(t)
  const repository = createHistoryRepository(t, root, 'files')
  const directory = tempDir(t)
  const secret = join(directory, 'secret')
  writeFileSync(secret, randomBytes(24).toString('base64'))
  const { port } = await startRedis(t)
  const peer = (node: string): string => `unix:${join(directory, node)}`
  const nodes: Sidecar[] = []
  for (const node of ['a', 'b']) {
    const sidecar = await startServer({
      ...{ root, freshness: mode, cacheDir: join(directory, `cache-${node}`) },
      ...{ listen: '127.0.0.1:0', admin: '127.0.0.1:0', peer: peer(node) },
      ...{ fleet: `redis://127.0.0.1:${port}`, fleetNode: node, fleetSecretFile: secret },
      fleetMembers: `a=${peer('a')},b=${peer('b')}`,
    })
    nodes.push(sidecar)
  }
  const url = nodes.map((node) => node.url)
  // Each node knows of the repository before it changes.
  for (const node of url) await ask(infoRefs(node, repository.path))
  try {
    return await runHistory({
      ...{ repository, mode, url, adminUrl: nodes[0]!.adminUrl, seed, length: { rounds: 5 } },
      readUrl: mode === 'lease' ? url.slice(1) : url,
    })
  } finally {
    await Promise.all(nodes.map((node) => node.close()))
  }
}

/** Runs histories until one has a stale answer. */
async function expectStale(t: Test, mode: 'observe' | 'lease'): Promise<void> {
  // The timing is random: several histories may pass.
  let violations: readonly string[] = []
  for (let seed = 1; violations.length === 0 && seed <= 20; seed++) {
    ;({ violations } = await history(t, mode, seed))
    t.comment(`seed ${seed}: ${violations.slice(0, 2).join('; ')}`)
  }
  t.match(violations.join('\n'), staleAnswer)
}

/** Many processes run at once; a busy machine takes long. */
t.setTimeout(600_000)

t.test('a node that relies on hints of leases, which may be lost', { skip: skipRedis }, async (t) => {
  t.intercept(EngineGate.prototype, 'watch', { value: () => () => undefined })
  const { violations } = await history(t, 'lease', 1)
  t.same(violations, [], 'with the right rules no hint is needed')

  type Refresh = EpochWatch['refresh']
  const refresh = Reflect.get<EpochWatch, 'refresh'>(EpochWatch.prototype, 'refresh')
  t.intercept(EpochWatch.prototype, 'refresh', {
    value(this: EpochWatch, ...[subject]: Parameters<Refresh>) {
      return refresh.call(this, subject, true)
    },
  })
  await expectStale(t, 'lease')
})

t.test(
  'a node that answers others from what it has published, unobserved',
  { skip: skipRedis },
  async (t) => {
    type Read = FreshCache['read']
    const read = Reflect.get<FreshCache, 'read'>(FreshCache.prototype, 'read')
    t.intercept(FreshCache.prototype, 'read', {
      value(this: FreshCache, ...asked: Parameters<Read>): ReturnType<Read> {
        const [key, , makeRequest] = asked
        const entry = makeRequest().isForPeer ? this.committed(key) : undefined
        if (!entry) return read.apply(this, asked)
        return { entry, follower: entry.follow(), reuse: 'hit' }
      },
    })
    await expectStale(t, 'observe')
  },
)
