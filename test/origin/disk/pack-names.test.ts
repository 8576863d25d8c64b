import t from 'tap'
import type { Test } from 'tap'
import { equal, notEqual } from 'node:assert'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { ObservedState } from '../../../src/freshness/observed-state.js'
import type { FetchRequest } from '../../../src/git/protocol/fetch-request.js'
import { identityOf } from '../../../src/git/state/repository.js'
import type { ServedRepositories } from '../../../src/origin/disk/served-repositories.js'
import { PackNames } from '../../../src/origin/disk/pack-names.js'
import type { SharedListing } from '../../../src/origin/ref-listings.js'
import type { Target } from '../../../src/origin/target.js'
import { parsed, sha1, sha256, sideBand, v0, v2 } from '../../support/fetch-requests.js'
import { findRepository } from '../../support/found-repository.js'
import { listingOf, objectsOf, stateOf } from '../../support/pack-observations.js'
import { makeRefObserver } from '../../support/ref-observations.js'
import { git, makeCommit, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

/** What the refs are at the moment: their state, and their listing (undefined: Git would refuse to list them). */
interface Refs {
  readonly state: ObservedState
  readonly listing: SharedListing | undefined
}

/** Names that are made from what the test says about the refs, and for which repositories they asked. */
function makeNames(refs: (target: Target) => Refs | Promise<Refs>) {
  const asked: Target[] = []
  const ask = async (target: Target): Promise<Refs> => {
    asked.push(target)
    return refs(target)
  }
  const served = { observe: async (target: Target) => ({ refs: (await ask(target)).state }) }
  const listRefs = async (target: Target) => {
    const { listing } = await ask(target)
    return listing && { listing, reuse: 'hit' as const }
  }
  const names = new PackNames({
    served: served as unknown as ServedRepositories,
    refs: { listRefs },
  })
  return { names, asked }
}

const requests: readonly FetchRequest[] = [
  v2(['agent=git/2.39', 'object-format=sha1'], [`want ${sha1}`, 'done']),
  v2(['agent=git/2.55', 'object-format=sha1'], [`want ${sha1}`, 'done']),
  v2(['object-format=sha1'], [`want ${'3'.repeat(40)}`, 'done']),
  v2(['object-format=sha256'], [`want ${sha256}`, 'done']),
  v2(['object-format=sha1'], ['include-tag', `want ${sha1}`, 'done']),
  v2(['agent=x', 'object-format=sha1'], ['include-tag', `want ${sha1}`, 'done']),
  v2(['object-format=sha1'], ['want-ref refs/heads/main', 'done']),
  v2(['object-format=sha1'], ['include-tag', 'want-ref refs/heads/main', 'done']),
]
  .map((body) => parsed(body))
  .concat([0, 1].map((version) => parsed(v0(sideBand, '', 'done'), version as 0 | 1)))

t.test('the requests of these tests depend on all that a request can depend on', (t) => {
  t.same(new Set(requests.map(({ dependsOn }) => dependsOn)), new Set(['objects', 'tags', 'refs']))
  t.equal(
    new Set(requests.map(({ digest }) => digest)).size,
    requests.length - 2,
    'two differ in agents only',
  )
  t.end()
})

/** Three repositories: two with the same objects and refs, and a work tree that shares its refs with one of them. */
function makeRepositories(t: Test) {
  const root = realpathSync(tempDir(t))
  makeRepository(root, 'public.git')
  git(root, 'clone', '--quiet', '--mirror', 'public.git', 'private.git')
  git(join(root, 'public.git'), 'worktree', 'add', '--quiet', '--detach', join(root, 'tree'), 'main')
  return ['public.git', 'private.git', 'tree'].map((path) => ({
    path,
    repository: findRepository(root, path)!,
  }))
}

t.test('requests have the same name if and only if all that the answer depends on is the same', async (t) => {
  const repositories = makeRepositories(t)
  const path = makeRepository(tempDir(t), 'r.git')
  const listings = [await listingOf(path)]
  git(path, 'branch', 'other')
  listings.push(await listingOf(path))
  git(path, 'tag', 'other')
  listings.push(await listingOf(path))
  /** The tags of each listing: the second has one more branch, the third one more tag. */
  const tagsOf = [0, 0, 1]

  const few = fc.nat({ max: 1 })
  const moment = fc.record({
    repository: fc.nat({ max: repositories.length - 1 }),
    request: fc.nat({ max: requests.length - 1 }),
    objects: few,
    generation: few,
    listing: fc.nat({ max: listings.length - 1 }),
    refs: few,
    refsGeneration: few,
    openings: few,
  })
  type Moment = typeof moment extends fc.Arbitrary<infer M> ? M : never
  /** Two moments that differ in few aspects, so that equal ones are frequent. */
  const pairs = fc
    .tuple(
      moment,
      moment,
      fc.subarray(['repository', 'request', 'objects', 'generation', 'listing', 'refs'] as const),
    )
    .chain(([one, other, changed]) =>
      fc.subarray(['refsGeneration', 'openings'] as const).map((more) => {
        const changes = Object.fromEntries([...changed, ...more].map((aspect) => [aspect, other[aspect]]))
        return [one, { ...one, ...changes }] as const
      }),
    )

  const nameAt = async (at: Moment): Promise<string> => {
    const { path, repository } = repositories[at.repository]!
    const { names } = makeNames(() => ({
      state: stateOf(`refs ${at.refs}`, { generation: at.refsGeneration, openings: at.openings }),
      listing: listings[at.listing],
    }))
    const observed = objectsOf(repository, stateOf(`objects ${at.objects}`, { generation: at.generation }))
    return (await names.stateOf({ path }, requests[at.request]!, observed)).name
  }
  const dependencies = (at: Moment): string => {
    const { digest, dependsOn } = requests[at.request]!
    const tags = dependsOn === 'tags' ? tagsOf[at.listing] : undefined
    const refs = dependsOn === 'refs' ? [at.refs, at.refsGeneration, at.openings] : []
    return JSON.stringify([at.repository, at.objects, at.generation, digest, tags, ...refs])
  }
  const property = fc.asyncProperty(pairs, async ([one, other]) => {
    const names = [await nameAt(one), await nameAt(other)] as const
    if (dependencies(one) === dependencies(other)) equal(...names)
    else notEqual(...names)
  })
  await t.resolves(fc.assert(property, { numRuns: 400 }))
})

/** A repository, and the names that three requests have in its state of now. */
async function openRepository(t: Test) {
  const observer = makeRefObserver(t)
  const path = makeRepository(observer.root, 'r.git')
  const repository = findRepository(observer.root, 'r.git')!
  const { names } = makeNames(async () => ({
    state: stateOf((await observer.settled('r.git')).refs.token),
    listing: await listingOf(path),
  }))
  const ofEach = async () => {
    const [objects, tags, refs] = [requests[0]!, requests[4]!, requests[6]!].map((request) =>
      names.stateOf({ path: 'r.git' }, request, objectsOf(repository)),
    )
    return { objects: (await objects!).name, tags: (await tags!).name, refs: (await refs!).name }
  }
  /** Which of the names a change of refs moves. */
  const moved = async (...change: string[]): Promise<string[]> => {
    const before = await ofEach()
    git(path, ...change)
    const after = await ofEach()
    return (['objects', 'tags', 'refs'] as const).filter((each) => before[each] !== after[each])
  }
  return { path, moved }
}

t.test('a push to a branch moves only the names of requests that depend on all refs', async (t) => {
  const { path, moved } = await openRepository(t)
  const other = makeCommit(path, 'two')
  t.same(await moved('update-ref', 'refs/heads/main', other), ['refs'])
  t.same(await moved('update-ref', 'refs/heads/new', other), ['refs'])
  t.same(await moved('update-ref', '-d', 'refs/heads/new'), ['refs'])
  t.same(await moved('symbolic-ref', 'HEAD', 'refs/heads/other'), ['refs'])
})

t.test('a change of tags also moves the names of requests that depend on tags', async (t) => {
  const { path, moved } = await openRepository(t)
  t.same(await moved('tag', 'new', 'main'), ['tags', 'refs'])
  t.same(await moved('tag', '--force', 'new', makeCommit(path, 'two')), ['tags', 'refs'])
  t.same(await moved('tag', '--delete', 'new'), ['tags', 'refs'])
})

const [repository] = makeRepositories(t).map((each) => each.repository)

t.test(
  'refs are asked for only if the answer depends on them, and of the repository that was observed',
  async (t) => {
    const { names, asked } = makeNames(() => ({ state: stateOf('refs'), listing: undefined }))
    const observed = objectsOf(repository!)
    const ask = (request: FetchRequest) => names.stateOf({ path: 'a.git' }, request, observed)
    await ask(requests[0]!)
    t.same(asked, [])
    for (const request of [requests[4]!, requests[6]!]) {
      asked.length = 0
      await ask(request)
      t.same(asked, [{ path: 'a.git', identity: identityOf(repository!) }])
    }
  },
)

t.test('tags that are known are taken as they are', async (t) => {
  const path = makeRepository(tempDir(t), 'r.git')
  let listing = await listingOf(path)
  const { names, asked } = makeNames(() => ({ state: stateOf('refs'), listing }))
  const ask = (known?: string) =>
    names.stateOf({ path: 'a.git' }, requests[4]!, objectsOf(repository!), known)
  const before = await ask()
  git(path, 'tag', 'new', 'main')
  listing = await listingOf(path)
  t.not((await ask()).name, before.name)
  asked.length = 0
  t.same(await ask(before.tags), before)
  t.same(asked, [])
})

t.test(
  'a name is as unsettled, and an answer as short-lived, as the worst of what it depends on',
  async (t) => {
    const { names } = makeNames(() => ({
      state: stateOf('refs', { unsettledMs: 7, maxAgeMs: 5000 }),
      listing: undefined,
    }))
    const ask = (index: number, objects: ObservedState) =>
      names.stateOf({ path: 'a.git' }, requests[index]!, objectsOf(repository!, objects))
    t.match(await ask(0, stateOf('o')), { unsettledMs: 0, maxAgeMs: Infinity })
    t.match(await ask(0, stateOf('o', { unsettledMs: 3 })), { unsettledMs: 3, maxAgeMs: Infinity })
    t.match(await ask(6, stateOf('o', { unsettledMs: 3 })), { unsettledMs: 7, maxAgeMs: 5000 })
    t.match(await ask(6, stateOf('o', { unsettledMs: Infinity })), { unsettledMs: Infinity })
  },
)

t.test('refs that Git would not list count as no tags, and a failed listing as no name', async (t) => {
  const refused = makeNames(() => ({ state: stateOf('refs'), listing: undefined })).names
  const observed = objectsOf(repository!)
  t.match(await refused.stateOf({ path: 'a.git' }, requests[4]!, observed), { tags: '' })
  const failing = makeNames(() => Promise.reject(new Error('Git failed'))).names
  await t.rejects(failing.stateOf({ path: 'a.git' }, requests[4]!, observed), { message: 'Git failed' })
})
