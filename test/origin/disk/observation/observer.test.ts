import t from 'tap'
import type { Test } from 'tap'
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ObservedState } from '../../../../src/freshness/observed-state.js'
import { LeasedRefs } from '../../../../src/origin/disk/observation/leased-refs.js'
import { Leases } from '../../../../src/freshness/leases/leases.js'
import { Modes, type ModeRule } from '../../../../src/origin/disk/observation/modes.js'
import {
  Observer,
  type ObjectsObservation,
  type Observation,
} from '../../../../src/origin/disk/observation/observer.js'
import { identityOf } from '../../../../src/git/state/repository.js'
import { RepositoriesRoot } from '../../../../src/git/state/repositories-root.js'
import { eventually } from '../../../support/eventually.js'
import { git, initBare, makeRepository } from '../../../support/repositories.js'
import { countSystemCalls } from '../../../support/system-calls.js'
import { tempDir } from '../../../support/temp-dir.js'

interface World {
  readonly root: string
  readonly repository: string
  readonly leases: Leases
  readonly results: string[]
  /** The reports: repositories that are not served, and files ahead of the clock. */
  readonly refused: string[]
  readonly ahead: number[]
  readonly observer: Observer
  /** The state of the refs, once no timestamp on disk is too young. */
  readonly refs: () => Promise<ObservedState>
}

function makeWorld(
  t: Test,
  mode: ModeRule['mode'],
  options: { directoriesMax?: number; looseRefsMax?: number; linksAnywhere?: boolean } = {},
): World {
  const root = realpathSync(tempDir(t))
  const repository = makeRepository(root, 'r.git')
  const leases = new Leases()
  t.teardown(() => leases.close())
  const results: string[] = []
  const refused: string[] = []
  const ahead: number[] = []
  const repositories = new RepositoriesRoot(root)
  const make = (): Observer =>
    new Observer({
      root: repositories,
      settings: Promise.resolve({
        root: repositories,
        scopes: { files: [], home: undefined, variables: [] },
        programs: [],
        environmentDigest: '',
      }),
      leases,
      modes: new Modes({ rules: [{ glob: '**', mode }] }),
      directoriesMax: options.directoriesMax ?? 1000,
      looseRefsMax: options.looseRefsMax ?? 1000,
      linksAnywhere: options.linksAnywhere ?? true,
      unleasedMaxAgeMs: 5000,
      observed: (result) => results.push(result),
      refused: (path, why) => refused.push(`${path} ${why}`),
      clockBehind: (ms) => ahead.push(ms),
    })
  const observer = make()
  const refs = async (): Promise<ObservedState> => {
    await settled(observer)
    results.length = 0
    return (await observer.observe('r.git'))!.refs
  }
  return { root, repository, leases, results, refused, ahead, observer, refs }
}

async function settled(observer: Observer): Promise<Observation> {
  let state: Observation | undefined
  await eventually('the disk is settled', async () => {
    state = await observer.observe('r.git')
    const waits = [state?.capabilities, state?.refs].map((state) => state?.unsettledMs ?? 0)
    return waits.every((ms) => ms === 0 || ms === Infinity)
  })
  return state!
}

t.test(
  'observe: the disk names the state, ended leases increase the generation, open ones have no effect',
  async (t) => {
    const { leases, repository, refs, results } = makeWorld(t, 'observe')
    const before = await refs()
    t.match(before, { unsettledMs: 0, generation: 0, openings: 0, maxAgeMs: Infinity })
    t.same(results, ['settled'])
    const lease = leases.open(repository, 60_000)
    t.same(await refs(), before)
    leases.end(lease.id, 'unchanged')
    t.same(await refs(), before)
    leases.end(leases.open(repository, 60_000).id, 'changed')
    t.same(await refs(), { ...before, generation: 1 })
    leases.invalidate(repository)
    t.same(await refs(), { ...before, generation: 2 })
    git(repository, 'update-ref', 'refs/heads/new', 'main')
    const after = await refs()
    t.not(after.token, before.token)
    t.match(after, { unsettledMs: 0, generation: 2 })
  },
)

t.test('lease: leases name the state, whatever refs are on disk', async (t) => {
  const { leases, repository, refs: observed, results } = makeWorld(t, 'lease')
  const refs = async (): Promise<ObservedState> => {
    const { details, ...state } = await observed()
    t.equal(details instanceof LeasedRefs, state.unsettledMs === 0, 'what an open lease changes is not known')
    return state
  }
  const before = await refs()
  t.match(before, { unsettledMs: 0, generation: 0, openings: 0, maxAgeMs: 5000 })
  t.same(results, ['settled'])
  git(repository, 'update-ref', 'refs/heads/new', 'main')
  t.same(await refs(), before, 'no lease has reported a change')

  const lease = leases.open(repository, 60_000)
  const other = leases.open(repository, 60_000)
  t.same(await refs(), { ...before, unsettledMs: Infinity, openings: 2 })
  t.same(results, ['leased'])
  leases.end(lease.id, 'changed')
  t.same(await refs(), { ...before, unsettledMs: Infinity, generation: 1, openings: 2 }, 'one is still open')
  leases.end(other.id, 'unchanged')
  t.same(await refs(), { ...before, generation: 1, openings: 2 })

  const { details } = await observed()
  leases.end(leases.open(repository, 60_000).id, 'changed', ['refs/heads/new'])
  for (const known of [details, (await observed()).details] as LeasedRefs[]) {
    t.same(known.changedSince(1), ['refs/heads/new'], 'up to now')
    t.equal(known.changedSince(0), undefined, 'the lease before did not name anything')
  }

  git(repository, 'config', 'transfer.hideRefs', 'refs/hidden')
  t.not((await refs()).token, before.token, 'configuration is observed')
})

t.test('lease: an id of the process is part of the token', async (t) => {
  const { root, observer } = makeWorld(t, 'lease')
  const leases = new Leases()
  t.teardown(() => leases.close())
  const settings = {
    scopes: { files: [], home: undefined, variables: [] },
    programs: [],
    environmentDigest: '',
  }
  const modes = new Modes({ rules: [{ glob: '**', mode: 'lease' }] })
  const repositories = new RepositoriesRoot(root)
  const later = new Observer({
    ...{
      leases,
      modes,
      directoriesMax: 1000,
      looseRefsMax: 1000,
      linksAnywhere: true,
      unleasedMaxAgeMs: 5000,
    },
    root: repositories,
    settings: Promise.resolve({ root: repositories, ...settings }),
  })
  const [before, after] = [await settled(observer), await settled(later)]
  t.equal(before.capabilities.token, after.capabilities.token)
  t.not(before.refs.token, after.refs.token)
})

t.test('the capability advertisement does not depend on refs: open leases do not affect it', async (t) => {
  const { leases, repository, observer } = makeWorld(t, 'lease')
  const { capabilities } = await settled(observer)
  t.match(capabilities, { unsettledMs: 0, generation: 0, openings: 0, maxAgeMs: Infinity })
  const { id } = leases.open(repository, 60_000)
  t.same((await observer.observe('r.git'))!.capabilities, capabilities)
  leases.end(id, 'changed')
  t.same((await observer.observe('r.git'))!.capabilities, { ...capabilities, generation: 1 })
})

t.test('lease: a configuration that is too young is unsettled, and counted as such', async (t) => {
  const { repository, observer, results } = makeWorld(t, 'lease')
  await settled(observer)
  await eventually('an observation falls into the tick after a change', async () => {
    git(repository, 'config', 'transfer.hideRefs', 'refs/hidden')
    results.length = 0
    const { refs } = (await observer.observe('r.git'))!
    t.same(results, [refs.unsettledMs > 0 ? 'unsettled' : 'settled'])
    return refs.unsettledMs > 0
  })
})

t.test(
  'auto: too many directories under refs/ lead to lease mode, but not against a rule that says observe',
  async (t) => {
    for (const [mode, directoriesMax, maxAgeMs] of [
      ['auto', 5, 5000],
      ['auto', 13, Infinity],
      ['observe', 5, Infinity],
    ] as const) {
      const world = makeWorld(t, mode, { directoriesMax })
      // With refs, refs/heads and refs/tags: thirteen.
      for (let index = 0; index < 10; index++) mkdirSync(join(world.repository, `refs/heads/${index}`))
      t.equal((await world.refs()).maxAgeMs, maxAgeMs, `${mode}, ${directoriesMax}`)
    }
  },
)

t.test('a lease that ended as unchanged while the mode was being decided counts', async (t) => {
  const now = performance.now.bind(performance)
  let laterMs = 0
  performance.now = () => now() + laterMs
  t.teardown(() => (performance.now = now))
  const { refs } = makeWorld(t, 'auto', { directoriesMax: 2 })
  const before = await refs()
  t.equal((await refs()).generation, before.generation)
  // Until the next observation the disk decides again.
  laterMs = 600_001
  const after = await refs()
  t.equal(after.token, before.token, 'only the generation distinguishes the two')
  t.ok(after.generation > before.generation)
})

t.test('with more loose refs than are checked, entries have a maximum age', async (t) => {
  // main and the tag.
  const [all, some] = [
    makeWorld(t, 'observe', { looseRefsMax: 2 }),
    makeWorld(t, 'observe', { looseRefsMax: 1 }),
  ]
  t.equal((await all.refs()).maxAgeMs, Infinity)
  t.equal((await some.refs()).maxAgeMs, 5000)
  git(some.repository, 'pack-refs', '--all')
  t.equal((await some.refs()).maxAgeMs, Infinity)
})

t.test('links below refs/ may lead out of the repository only where there are no access rules', async (t) => {
  for (const linksAnywhere of [true, false]) {
    const { repository, root, observer, refused } = makeWorld(t, 'observe', { linksAnywhere })
    mkdirSync(join(repository, 'own'))
    symlinkSync('../../own', join(repository, 'refs/heads/own'))
    t.ok(await observer.observe('r.git'))
    mkdirSync(join(root, 'beside'))
    symlinkSync('../../../beside', join(repository, 'refs/heads/beside'))
    t.equal((await observer.observe('r.git')) !== undefined, linksAnywhere)
    symlinkSync(tempDir(t), join(repository, 'refs/heads/outside'))
    t.equal(await observer.observe('r.git'), undefined)
    t.ok(refused.every((why) => why === 'r.git outside') && refused.length > 0)
  }
})

t.test('a clock that was set back is reported', async (t) => {
  const { observer, ahead } = makeWorld(t, 'observe')
  const now = Date.now.bind(Date)
  t.teardown(() => (Date.now = now))
  Date.now = () => now() - 3_600_000
  await observer.observe('r.git')
  t.ok(ahead[0]! > 3_599_000)
  await eventually('and it is trusted after a tick', async () => {
    return (await observer.observe('r.git'))!.refs.unsettledMs === 0
  })
})

t.test('a path without a repository is missing', async (t) => {
  const { observer, results } = makeWorld(t, 'observe')
  t.equal(await observer.observe('x.git'), undefined)
  t.same(results, ['missing'])
  t.equal(observer.find('x.git'), undefined)
  t.match((await observer.find('r'))?.gitDir, /\/r\.git$/)
})

/** The object store of r.git, once no timestamp is too young. */
async function settledObjects(observer: Observer): Promise<ObjectsObservation> {
  let state: ObjectsObservation | undefined
  await eventually('the disk is settled', async () => {
    state = await observer.observeObjects('r.git')
    return state?.objects.unsettledMs === 0
  })
  return state!
}

t.test(
  'an object store: the disk names its state in every mode, ended leases increase the generation',
  async (t) => {
    for (const mode of ['observe', 'lease'] as const) {
      const { leases, repository, observer, results } = makeWorld(t, mode)
      const { capabilities, repository: found, config, exported } = await settled(observer)
      const before = await settledObjects(observer)
      t.same(before.capabilities, capabilities, 'as an observation of refs has them')
      t.same([before.repository, before.config, before.exported], [found, config, exported])
      t.match(before.objects, { unsettledMs: 0, generation: 0, openings: 0, maxAgeMs: Infinity })
      t.equal(before.objects.subject, identityOf(found))
      results.length = 0
      const lease = leases.open(repository, 60_000)
      t.same(await observer.observeObjects('r.git'), before, 'an open lease has no effect')
      t.same(results, ['settled'])
      leases.end(lease.id, 'changed')
      leases.invalidate(repository)
      const later = await observer.observeObjects('r.git')
      t.same(later?.objects, { ...before.objects, generation: 2 })
      t.same(later?.capabilities, { ...before.capabilities, generation: 2 })
      git(repository, 'update-ref', 'refs/heads/new', 'main')
      t.same((await settledObjects(observer)).objects, later?.objects, 'refs have no effect')
      writeFileSync(join(repository, 'shallow'), `${git(repository, 'rev-parse', 'main')}\n`)
      results.length = 0
      const after = await observer.observeObjects('r.git')
      t.same(results, ['unsettled'])
      t.not(after?.objects.token, before.objects.token)
      t.equal(after?.capabilities.token, before.capabilities.token)
    }
  },
)

t.test('observations of an object store are coalesced, and apart from those of refs', async (t) => {
  const { observer, results } = makeWorld(t, 'observe')
  await settledObjects(observer)
  results.length = 0
  const [one, two] = [observer.observeObjects('r.git'), observer.observeObjects('r.git')]
  t.equal(one, two)
  const refs = observer.observe('r.git')
  t.equal(await one, await two)
  t.ok((await refs)?.refs)
  t.equal(results.length, 2)
})

t.test('an object store that is not served', async (t) => {
  const { root, observer, results, refused, ahead } = makeWorld(t, 'observe')
  t.equal(await observer.observeObjects('x.git'), undefined)
  t.same(results, ['missing'])
  symlinkSync(initBare(tempDir(t), 'y.git'), join(root, 'y.git'))
  t.equal(await observer.observeObjects('y.git'), undefined)
  t.same(refused, ['y.git outside'])
  const now = Date.now.bind(Date)
  t.teardown(() => (Date.now = now))
  Date.now = () => now() - 3_600_000
  await observer.observeObjects('r.git')
  t.ok(ahead[0]! > 3_599_000)
})

t.test(
  'an observation makes few system calls',
  { skip: process.platform !== 'linux' && 'elsewhere directories are reached otherwise' },
  async (t) => {
    const { repository, observer } = makeWorld(t, 'observe')
    git(repository, 'pack-refs', '--all')
    await settled(observer)
    await settledObjects(observer)
    const opening = { openSync: 1, fstatSync: 1, readlinkSync: 1, closeSync: 1 }
    // The rest: HEAD, packed-refs, refs and what is below it, configuration, and the places where a repository may be.
    const calls = { ...opening, lstatSync: 3, statSync: 6 }
    t.same(await countSystemCalls(() => observer.observe('r.git')), calls)
    // The same with `info/grafts` and `objects/info/alternates` in place of refs/heads and refs/tags.
    t.same(await countSystemCalls(() => observer.observeObjects('r.git')), calls)
  },
)
