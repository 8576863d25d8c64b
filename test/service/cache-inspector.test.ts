import t from 'tap'
import type { FreshCache } from '../../src/freshness/fresh-cache.js'
import type { Modes } from '../../src/origin/disk/observation/modes.js'
import type { ObservedState } from '../../src/freshness/observed-state.js'
import type { Prospect } from '../../src/freshness/prospect.js'
import { Leases } from '../../src/freshness/leases/leases.js'
import type { Observer } from '../../src/origin/disk/observation/observer.js'
import { CacheInspector } from '../../src/service/cache-inspector.js'
import { keyOf } from '../../src/origin/disk/entry-keys.js'

const decision = { mode: 'observe', reason: 'local' } as const

/** Inspects the repository `r` at /root/r/.git, of which these entries are committed. */
function inspect(
  t: { teardown(end: () => void): void },
  entries: ReadonlyMap<string, number>,
  unsettledMs = 0,
) {
  const repository = { gitDir: '/root/r/.git', gitName: 'r/.git', commonDir: '/root/r/.git' }
  const leases = new Leases()
  t.teardown(() => leases.close())
  leases.open('/root/r/.git', 60_000)
  const inspector = new CacheInspector({
    observer: {
      observe: async (path: string) =>
        path === 'r'
          ? { repository, exported: true, refs: { unsettledMs }, capabilities: { unsettledMs: 0 } }
          : undefined,
    } as unknown as Observer,
    modes: { of: () => decision } as unknown as Modes,
    leases,
    cache: {
      committed: (key: string) => (entries.has(key) ? { length: entries.get(key) } : undefined),
      explain: (key: string, state: ObservedState): Prospect => {
        if (state.unsettledMs > 0) return 'unsettled'
        return entries.has(key) ? 'hit' : 'nothing-kept'
      },
    } as unknown as FreshCache,
    packs: { kept: (commonDir) => ({ count: commonDir === '/root/r/.git' ? 2 : 0, bytes: 300 }) },
  })
  return inspector.stat.bind(inspector)
}

t.test('a repository is shown with its mode, leases and committed entries', async (t) => {
  const entries = new Map([
    [keyOf('advertisement', 'v2', '/root/r/.git'), 100],
    [keyOf('listing', 'sha1', '/root/r/.git'), 2000],
    [keyOf('listing', 'sha1', '/root/other.git'), 5],
  ])
  t.same(await inspect(t, entries)('r'), {
    ...{ repository: 'r/.git', exported: true, decision, settled: true, leasesOpen: 1 },
    entries: [
      { kind: 'advertisement v2', bytes: 100 },
      { kind: 'listing sha1', bytes: 2000 },
    ],
    prospects: [
      { kind: 'advertisement v0', prospect: 'nothing-kept' },
      { kind: 'advertisement v1', prospect: 'nothing-kept' },
      { kind: 'advertisement v2', prospect: 'hit' },
      { kind: 'listing sha1', prospect: 'hit' },
      { kind: 'listing sha256', prospect: 'nothing-kept' },
    ],
    packs: 2,
    packBytes: 300,
  })
})

t.test('an unsettled state is shown as such, and a repository that is not there is an error', async (t) => {
  const stat = inspect(t, new Map(), 10)
  const { prospects, ...shown } = await stat('r')
  t.match(shown, { settled: false, entries: [] })
  const unsettled = prospects.filter(({ prospect }) => prospect === 'unsettled').map(({ kind }) => kind)
  t.notOk(unsettled.includes('advertisement v2'), 'capabilities have a state of their own')
  t.equal(unsettled.length, prospects.length - 1)
  await t.rejects(stat('x'), { name: 'RepositoryNotFound' })
})
