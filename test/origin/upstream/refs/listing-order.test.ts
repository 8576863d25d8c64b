import fc from 'fast-check'
import t from 'tap'
import { completeLsRefs } from '../../../../src/git/protocol/ls-refs.js'
import { flushPacket, pktLine } from '../../../../src/git/protocol/pkt-line.js'
import { ListingOrder, UnsortedListing } from '../../../../src/origin/upstream/refs/listing-order.js'
import { runHttpBackend } from '../../../support/cgi.js'
import { addPackedBranches, git, initBare, makeRepository } from '../../../support/repositories.js'
import { tempDir } from '../../../support/temp-dir.js'

const id = '1'.repeat(40)

const listingOf = (...lines: readonly string[]): Buffer =>
  Buffer.concat([...lines.map((line) => pktLine(Buffer.from(line, 'latin1'))), flushPacket])

/** Checks a listing in chunks that end at these offsets. */
function check(listing: Buffer, ends: readonly number[] = []): void {
  const order = new ListingOrder()
  const sorted = [...ends, listing.length].sort((a, b) => a - b)
  sorted.reduce((from, to) => {
    order.push(listing.subarray(from, to))
    return to
  }, 0)
}

const isInOrder = (listing: Buffer, ends?: readonly number[]): boolean => {
  try {
    check(listing, ends)
    return true
  } catch (error) {
    if (error instanceof UnsortedListing) return false
    throw error
  }
}

function listingsOfGit(root: string, name: string, objectFormat: 'sha1' | 'sha256'): Buffer {
  const body = completeLsRefs(objectFormat)
  const { body: answer } = runHttpBackend(root, {
    target: `/${name}/git-upload-pack`,
    ...{ method: 'POST', gitProtocol: 'version=2', body },
    headers: {
      'content-type': 'application/x-git-upload-pack-request',
      'content-length': String(body.length),
    },
  })
  return Buffer.from(answer, 'latin1')
}

t.test('listings of Git are in order, in chunks of any size', async (t) => {
  const root = tempDir(t)
  const path = makeRepository(root, 'r.git')
  addPackedBranches(path, 20)
  for (const branch of ['Upper', 'a-b', 'a.b', 'a/b', 'ä', '日本'])
    git(path, 'update-ref', `refs/heads/names/${branch}`, 'main')
  git(path, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/main')
  const detached = makeRepository(root, 'detached.git')
  git(detached, 'update-ref', '--no-deref', 'HEAD', git(detached, 'rev-parse', 'main'))
  initBare(root, 'empty.git')
  makeRepository(root, 'sha256.git', { objectFormat: 'sha256' })
  const listings = [
    ...['r.git', 'detached.git', 'empty.git'].map((name) => listingsOfGit(root, name, 'sha1')),
    listingsOfGit(root, 'sha256.git', 'sha256'),
  ]
  for (const listing of listings) {
    t.ok(listing.length >= 4)
    check(listing)
    check(
      listing,
      Array.from(listing, (_, at) => at),
    )
    fc.assert(
      fc.property(fc.array(fc.nat(listing.length)), (ends) => isInOrder(listing, ends)),
      { numRuns: 30 },
    )
  }
})

const inOrder: Readonly<Record<string, readonly string[]>> = {
  'no ref at all': [],
  'an unborn HEAD': ['unborn HEAD symref-target:refs/heads/main\n', `${id} refs/heads/x\n`],
  'a detached HEAD': [`${id} HEAD\n`, `${id} refs/heads/x\n`],
  'names without HEAD': [`${id} refs/heads/a\n`, `${id} refs/heads/a-b\n`, `${id} refs/heads/a/b\n`],
  'bytes that are not UTF-8': [`${id} refs/heads/\x7e\n`, `${id} refs/heads/\x80\n`],
}
for (const [name, lines] of Object.entries(inOrder))
  t.test(`in order: ${name}`, async (t) => void t.ok(isInOrder(listingOf(...lines))))

const outOfOrder: Readonly<Record<string, readonly string[]>> = {
  'two names exchanged': [`${id} refs/heads/b\n`, `${id} refs/heads/a\n`],
  'one name twice': [`${id} refs/heads/a\n`, `${id} refs/heads/a\n`],
  'HEAD after others': [`${id} refs/heads/a\n`, `${id} HEAD\n`],
  'HEAD twice': [`${id} HEAD\n`, `${id} HEAD\n`, `${id} HEAD\n`],
  'names by their letters': [`${id} refs/heads/a\n`, `${id} refs/heads/B\n`],
  'a line without a newline': [`${id} refs/heads/a`],
  'a line without a space': ['refs/heads/a\n'],
  'object ids of two lengths': [`${id} refs/heads/a\n`, `${id}00 refs/heads/b\n`],
  'an unborn ref that is not HEAD': [`${id} refs/heads/a\n`, 'unborn refs/heads/b\n'],
}
for (const [name, lines] of Object.entries(outOfOrder)) {
  t.test(`out of order: ${name}`, async (t) => {
    const listing = listingOf(...lines)
    t.notOk(isInOrder(listing))
    t.notOk(
      isInOrder(
        listing,
        Array.from(listing, (_, at) => at),
      ),
      'byte by byte',
    )
  })
}

t.test('what is found does not depend on where chunks end', async () => {
  const lines = fc.array(
    fc.constantFrom(...Object.values(inOrder).flat(), ...Object.values(outOfOrder).flat()),
    { maxLength: 6 },
  )
  fc.assert(
    fc.property(lines, fc.array(fc.nat(400), { maxLength: 20 }), (some, ends) => {
      const listing = listingOf(...some)
      const within = ends.filter((end) => end <= listing.length)
      return isInOrder(listing) === isInOrder(listing, within)
    }),
  )
})
