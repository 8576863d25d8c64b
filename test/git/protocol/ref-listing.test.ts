import t from 'tap'
import fc from 'fast-check'
import { parseLsRefs, completeLsRefs } from '../../../src/git/protocol/ls-refs.js'
import { pktLine } from '../../../src/git/protocol/pkt-line.js'
import { RefListing } from '../../../src/git/protocol/ref-listing.js'
import { cutListing, cutWhole } from '../../../src/git/protocol/listing-answer.js'
import { git, gitWith, initBare, makeCommit } from '../../support/repositories.js'
import { answerTo, everything, type ListedRef } from '../../support/listings.js'
import { tempDir } from '../../support/temp-dir.js'

const ask = (repository: string, input: Buffer): Buffer =>
  Buffer.from(
    gitWith(
      { cwd: repository, input, environment: { GIT_PROTOCOL: 'version=2' }, encoding: 'latin1' },
      'upload-pack',
      '--stateless-rpc',
      '.',
    ),
    'latin1',
  )

interface Wish {
  readonly peel: boolean
  readonly symrefs: boolean
  readonly unborn: boolean
  readonly prefixes: readonly string[]
}

function requestBody({ prefixes, ...flags }: Wish, objectFormat: string): Buffer {
  const wanted = Object.entries(flags).flatMap(([name, on]) => (on ? [pktLine(`${name}\n`)] : []))
  return Buffer.concat([
    ...[
      pktLine('command=ls-refs\n'),
      pktLine('agent=git/test\n'),
      pktLine(`object-format=${objectFormat}\n`),
    ],
    Buffer.from('0001'),
    ...wanted,
    ...prefixes.map((prefix) => pktLine(`ref-prefix ${prefix}\n`)),
    Buffer.from('0000'),
  ])
}

/** Appends the whole listing in chunks of a size, and cuts an answer while it grows. */
function cut(listing: Buffer, body: Buffer, chunkSize: number): { answer: Buffer; waits: number } {
  const request = parseLsRefs(body)
  if (!request) throw new Error('not understood')
  const growing = new RefListing()
  const parts: Buffer[] = []
  let at = 0
  let waits = 0
  for (const part of cutListing(growing, request)) {
    if (part) {
      parts.push(Buffer.from(part))
      continue
    }
    if (at >= listing.length) throw new Error('it waits for more than there is')
    growing.append(listing.subarray(at, at + chunkSize))
    at += chunkSize
    waits++
  }
  return { answer: Buffer.concat(parts), waits }
}

const names = ['a', 'b', 'ab', 'a-b', 'a.b', 'main', 'release/1', 'release/10', 'ünï']
const prefix = fc.oneof(
  fc.constantFrom(
    'HEAD',
    'H',
    '',
    'refs/',
    'refs/heads/',
    'refs/tags/',
    'refs/heads/main',
    'refs/heads/rel',
    'x',
  ),
  fc.constantFrom(...names).map((name) => `refs/heads/${Buffer.from(name).toString('latin1')}`),
  fc.constantFrom('refs/heads/main ', 'refs/heads/a\x7f', 'refs/zzz', 'HEADS', 'refs/heads/release/1 symref'),
  fc.string({ maxLength: 6, unit: fc.constantFrom('r', 'e', 'f', 's', '/', 'h', 'H') }),
)
const wish = fc.record({
  peel: fc.boolean(),
  symrefs: fc.boolean(),
  unborn: fc.boolean(),
  prefixes: fc.array(prefix, { maxLength: 6 }),
})

/** Repositories that differ in what ls-refs shows. */
const kinds: Record<string, (repository: string) => void> = {
  empty: () => {},
  'unborn HEAD beside refs': (repository) => {
    git(repository, 'update-ref', 'refs/heads/other', makeCommit(repository, 'one'))
  },
  'all sorts': (repository) => {
    const commit = makeCommit(repository, 'one')
    for (const name of names) git(repository, 'update-ref', `refs/heads/${name}`, commit)
    git(repository, 'tag', '-a', '-m', 'x', 'v1', commit)
    git(repository, 'tag', '-a', '-m', 'x', 'v2', 'v1')
    git(repository, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/main')
    git(repository, 'symbolic-ref', 'refs/heads/dangling', 'refs/heads/nowhere')
    git(repository, 'update-ref', 'refs/zz/last', commit)
    git(repository, 'config', 'transfer.hideRefs', 'refs/heads/a-b')
  },
  'detached HEAD': (repository) => {
    const commit = makeCommit(repository, 'one')
    git(repository, 'update-ref', 'refs/heads/main', commit)
    git(repository, 'update-ref', '--no-deref', 'HEAD', makeCommit(repository, 'two', commit))
  },
  'unborn not shown': (repository) => {
    git(repository, 'config', 'lsrefs.unborn', 'ignore')
  },
}

for (const objectFormat of ['sha1', 'sha256'] as const) {
  for (const [kind, prepare] of Object.entries(kinds)) {
    t.test(`${objectFormat}, ${kind}: every answer cut from one listing is Git's own`, async (t) => {
      const repository = initBare(tempDir(t), 'r.git', { objectFormat })
      prepare(repository)
      const listing = ask(repository, completeLsRefs(objectFormat))
      fc.assert(
        fc.property(wish, fc.integer({ min: 1, max: 300 }), (wished, chunkSize) => {
          const body = requestBody(wished, objectFormat)
          return cut(listing, body, chunkSize).answer.equals(ask(repository, body))
        }),
        { numRuns: 40 },
      )
    })
  }
}

t.test('a listing that ends while a part of it is sent does not leave the reader waiting', async (t) => {
  const repository = initBare(tempDir(t), 'r.git')
  const commit = makeCommit(repository, 'one')
  for (let index = 0; index < 20; index++) git(repository, 'update-ref', `refs/heads/b${index}`, commit)
  const listing = ask(repository, completeLsRefs('sha1'))
  const request = parseLsRefs(requestBody({ peel: true, symrefs: true, unborn: true, prefixes: [] }, 'sha1'))
  if (!request) throw new Error('not understood')
  const growing = new RefListing()
  growing.append(listing.subarray(0, 500))
  const parts: Buffer[] = []
  for (const part of cutListing(growing, request)) {
    if (!part) throw new Error('it waits, and nothing will come')
    parts.push(part)
    if (!growing.complete) growing.append(listing.subarray(500))
  }
  t.ok(Buffer.concat(parts).equals(listing))
})

t.test('a client that wants branches does not wait for tags', async (t) => {
  const repository = initBare(tempDir(t), 'r.git')
  const commit = makeCommit(repository, 'one')
  git(repository, 'update-ref', 'refs/heads/main', commit)
  for (let index = 0; index < 20; index++) git(repository, 'update-ref', `refs/tags/t${index}`, commit)
  const listing = ask(repository, completeLsRefs('sha1'))
  const body = requestBody({ peel: true, symrefs: true, unborn: true, prefixes: ['refs/heads/'] }, 'sha1')
  const { waits } = cut(listing, body, 100)
  t.ok(waits <= 3, `${waits} chunks of 100 bytes were enough, of ${listing.length} bytes`)
})

t.test('parts are views and not copies, and the memory of a listing is bounded', async (t) => {
  const line = (index: number): Buffer =>
    pktLine(`${'1'.repeat(40)} refs/heads/b${String(index).padStart(6, '0')}\n`)
  const lines = Array.from({ length: 50_000 }, (_, index) => line(index))
  const wire = Buffer.concat([...lines, Buffer.from('0000')])
  const listing = new RefListing()
  for (let at = 0; at < wire.length; at += 65_536) listing.append(wire.subarray(at, at + 65_536))
  t.ok(listing.complete)
  t.equal(listing.count, 50_000)
  t.ok(listing.bytes <= wire.length + 8 * 50_000, 'the bytes on the wire and at most 8 more for each ref')
  const request = { objectFormat: 'sha1', peel: true, symrefs: true, unborn: true, prefixes: [] }
  const all = [...cutListing(listing, request)] as Buffer[]
  t.ok(Buffer.concat(all).equals(wire))
  t.ok(all.length < 20, 'few views')
  const [some] = cutListing(listing, { ...request, prefixes: ['refs/heads/b00000'] })
  t.equal(some?.buffer, all[0]?.buffer, 'of the same memory')
  t.equal(some?.length, 10 * (lines[0] as Buffer).length)
})

t.test('output that is not an answer to ls-refs is refused', async (t) => {
  t.throws(() => new RefListing().append(Buffer.from('zzzz')))
  t.throws(() => new RefListing().append(Buffer.from('0001')))
  t.throws(() => new RefListing().append(Buffer.from('00000000')))
})

const letters = fc.string({
  minLength: 1,
  maxLength: 200,
  unit: fc.constantFrom('a', 'b', 'c', '-', '0', 'p:'),
})
/** Runs of refs of one kind: of lines that are copied, and of lines that are not. */
const stretch = fc.record({
  count: fc.integer({ min: 1, max: 700 }),
  name: letters,
  peeled: fc.constantFrom('2', undefined),
  symrefTarget: fc.option(letters, { nil: undefined }),
})
const stretches = fc.array(stretch, { minLength: 1, maxLength: 12 })
const head = fc.constantFrom<ListedRef[]>(
  [],
  [{ name: 'HEAD', symrefTarget: 'refs/heads/main' }],
  [{ name: 'HEAD', peeled: '2' }],
  [{ name: 'HEAD', symrefTarget: 'refs/heads/main', peeled: 'unborn' }],
)
type Stretch = typeof stretch extends fc.Arbitrary<infer One> ? One : never

const listed = (first: ListedRef[], stretches: Stretch[]): ListedRef[] => [
  ...first,
  ...stretches.flatMap(({ count, name, ...rest }, index) =>
    Array.from({ length: count }, (_, line) => ({
      ...{ name: `refs/${String(index).padStart(2, '0')}/${name}/${String(line).padStart(4, '0')}`, ...rest },
    })),
  ),
]
const queries = fc.record({
  peel: fc.boolean(),
  symrefs: fc.boolean(),
  unborn: fc.boolean(),
  prefixes: fc.array(fc.constantFrom('HEAD', 'refs/', 'refs/0', 'refs/01/', 'refs/02/a', 'x'), {
    maxLength: 3,
  }),
})

t.test(
  'answers of long listings are whole, their parts are views or short copies, and their length is known',
  async (t) => {
    fc.assert(
      fc.property(
        head,
        stretches,
        fc.constantFrom('sha1', 'sha256'),
        queries,
        (first, rest, format, query) => {
          const refs = listed(first, rest)
          const wire = answerTo(refs, everything, format)
          const listing = new RefListing()
          for (let at = 0; at < wire.length; at += 60_000) listing.append(wire.subarray(at, at + 60_000))
          const cutTwice = [0, 1].map(() => [...cutListing(listing, query)] as Buffer[])
          const [parts, others] = cutTwice as [Buffer[], Buffer[]]
          const own = parts.filter(
            ({ buffer, length }, index) => length > 4 && buffer !== others[index]!.buffer,
          )
          if (own.some(({ length }) => length > 80_000)) return false
          if (query.peel && query.symrefs) {
            const whole = cutWhole(listing, query)
            const bytes = Buffer.concat([...whole.parts])
            if (own.length > 0 || whole.length !== bytes.length || !bytes.equals(Buffer.concat(parts)))
              return false
          }
          return Buffer.concat(parts).equals(answerTo(refs, query, format))
        },
      ),
      { numRuns: 200 },
    )
    t.pass()
  },
)

t.test('no part is cut before it is asked for', async (t) => {
  const wire = answerTo(
    Array.from({ length: 20_000 }, (_, index) => ({
      name: `refs/tags/${String(index).padStart(5, '0')}`,
      peeled: '2',
    })),
    everything,
  )
  const listing = new RefListing()
  listing.append(wire)
  const parts = cutListing(listing, { ...everything, peel: false })
  for (let at = 0; at < 5; at++) t.ok((parts.next().value as Buffer).length <= 65_536)
})
