import t from 'tap'
import { TagDigests } from '../../../src/origin/packs/tag-digests.js'
import { SharedListing } from '../../../src/origin/ref-listings.js'
import type { Entry } from '../../../src/streamcache/index.js'
import { listingOf } from '../../support/pack-observations.js'
import { git, makeCommit, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const digests = new TagDigests()

t.test('a digest changes with the tags, and with nothing else', async (t) => {
  const path = makeRepository(tempDir(t), 'r.git')
  const digest = async (): Promise<string> => digests.of(await listingOf(path))
  const first = await digest()
  const other = makeCommit(path, 'two')
  for (const change of [
    ['update-ref', 'refs/heads/main', other],
    ['branch', 'new', 'main'],
    ['symbolic-ref', 'HEAD', 'refs/heads/new'],
    ['update-ref', 'refs/notes/commits', other],
    ['update-ref', 'refs/tagsx/a', other],
    ['pack-refs', '--all'],
  ]) {
    git(path, ...change)
    t.equal(await digest(), first, change.join(' '))
  }
  const seen = new Set([first])
  for (const change of [
    ['tag', 'light', other],
    ['tag', '--force', 'light', 'v1'],
    ['tag', '--force', '--annotate', '--message=other', 'v1', other],
    ['tag', '--delete', 'light'],
    ['tag', '--delete', 'v1'],
  ]) {
    git(path, ...change)
    const now = await digest()
    t.notOk(seen.has(now), change.join(' '))
    seen.add(now)
  }
})

t.test('hidden tags are not in a digest', async (t) => {
  const path = makeRepository(tempDir(t), 'r.git')
  git(path, 'config', 'transfer.hideRefs', 'refs/tags/hidden')
  const before = await digests.of(await listingOf(path))
  git(path, 'tag', 'hidden/a', 'main')
  t.equal(await digests.of(await listingOf(path)), before)
})

t.test('the digest of a listing is computed once', async (t) => {
  const listing = await listingOf(makeRepository(tempDir(t), 'r.git'))
  const first = digests.of(listing)
  t.equal(digests.of(listing), first)
  await first
  t.equal(digests.of(listing), first)
})

t.test('a listing that cannot be read has no digest', async (t) => {
  const listing = new SharedListing()
  const broken = async function* (): AsyncGenerator<Buffer> {
    yield* []
    throw new Error('Git failed')
  }
  await listing.read({ follow: broken } as unknown as Entry)
  await t.rejects(digests.of(listing), { message: 'Git failed' })
})
