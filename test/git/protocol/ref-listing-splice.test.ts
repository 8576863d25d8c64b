import t from 'tap'
import fc from 'fast-check'
import { canonicalPrefixes } from '../../../src/git/protocol/listing-answer.js'
import { pktLine } from '../../../src/git/protocol/pkt-line.js'
import { parseRefs } from '../../../src/git/protocol/ref-line.js'
import { RefListing } from '../../../src/git/protocol/ref-listing.js'

/** Text of lines behind the object id, by names; bytes as Latin-1. HEAD may be `unborn`. */
type Refs = Map<string, Value>
interface Value {
  readonly id: string
  readonly attributes: string
}

const id = (digit: string): string => digit.repeat(40)
const flush = Buffer.from('0000')

const byName = ([one]: [string, Value], [other]: [string, Value]): number =>
  one === 'HEAD' ? -1 : other === 'HEAD' ? 1 : one < other ? -1 : 1

/** Returns Git's answer for these prefixes. */
function answer(refs: Refs, prefixes: readonly string[]): Buffer {
  const shown = [...refs].filter(([name]) => prefixes.some((prefix) => name.startsWith(prefix)))
  const lines = shown.sort(byName).map(([name, value]) => {
    return pktLine(Buffer.from(`${value.id} ${name}${value.attributes}\n`, 'latin1'))
  })
  return Buffer.concat([...lines, flush])
}

function listingOf(bytes: Buffer): RefListing {
  const listing = new RefListing()
  for (let at = 0; at < bytes.length; at += 50_000) listing.append(bytes.subarray(at, at + 50_000))
  return listing
}

const bytesOf = (listing: RefListing): Buffer => Buffer.concat(listing.chunks)

/** Short names over few letters: one is often the prefix of another one, or its directory. */
const name = fc
  .string({ minLength: 1, maxLength: 5, unit: fc.constantFrom('a', 'b', '/', '-', '.', '\x80', '\xff', '0') })
  .map((text) => `refs/${text}`)
const value = fc.record({
  id: fc.constantFrom(id('1'), id('2')),
  attributes: fc.constantFrom('', '', ` peeled:${id('3')}`, ' symref-target:refs/a'),
})
const head = fc.constantFrom<Value | undefined>(
  undefined,
  { id: 'unborn', attributes: ' symref-target:refs/heads/none' },
  { id: id('1'), attributes: ' symref-target:refs/a' },
  { id: id('2'), attributes: '' },
)
const step = fc.record({
  changes: fc.array(fc.tuple(name, fc.option(value, { nil: undefined })), { maxLength: 8 }),
  head: fc.option(head, { nil: null }),
  /** Prefixes besides those of the changes. */
  also: fc.array(fc.oneof(name, fc.constantFrom('HEAD', 'refs/', 'H', 'x')), { maxLength: 3 }),
})

t.test('a splice is the listing that Git would give, in chains of any changes', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(name, value), { maxLength: 30 }),
      head,
      // Enough refs for several blocks, or none.
      fc.constantFrom(0, 0, 0, 0, 0, 2000),
      fc.array(step, { minLength: 1, maxLength: 5 }),
      async (first, firstHead, many, steps) => {
        const refs: Refs = new Map(first)
        for (let index = 0; index < many; index++)
          refs.set(`refs/a${index % 7}/${index}`, { id: id('4'), attributes: ` peeled:${id('5')}` })
        if (firstHead) refs.set('HEAD', firstHead)
        let listing = listingOf(answer(refs, ['']))
        for (const { changes, head, also } of steps) {
          for (const [name, value] of changes) {
            if (value) refs.set(name, value)
            else refs.delete(name)
          }
          if (head !== null) refs.delete('HEAD')
          if (head) refs.set('HEAD', head)
          const prefixes = canonicalPrefixes([...changes.map(([name]) => name), 'HEAD', ...also])
          const before = bytesOf(listing)
          const spliced = await listing.splice(prefixes, answer(refs, prefixes))
          const expected = answer(refs, [''])
          if (!bytesOf(spliced).equals(expected)) return false
          if (before.equals(expected) !== (spliced === listing)) return false
          if (!bytesOf(listing).equals(before)) return false
          const whole = listingOf(expected)
          if (
            spliced.count !== whole.count ||
            spliced.size({ start: 0, end: spliced.count }) !== expected.length - 4
          )
            return false
          if (![...parseRefs(expected)].every(({ name }) => spliced.find(name)?.name.equals(name)))
            return false
          const targets = spliced
            .symrefs()
            .map(({ name, target }) => `${name.toString('latin1')} ${target.toString('latin1')}`)
          const expectedTargets = [...refs].sort(byName).flatMap(([name, { attributes }]) => {
            const target = attributes.replace(' symref-target:', '')
            return target === attributes ? [] : [`${name} ${target}`]
          })
          if (targets.join('\n') !== expectedTargets.join('\n')) return false
          listing = spliced
        }
        return true
      },
    ),
    { numRuns: 150 },
  )
  t.pass()
})

/** Returns many refs, 67 bytes each. */
function many(count: number): Refs {
  const refs: Refs = new Map([['HEAD', { id: id('1'), attributes: ' symref-target:refs/heads/b0000000' }]])
  for (let index = 0; index < count; index++)
    refs.set(`refs/heads/b${String(index).padStart(7, '0')}`, { id: id('1'), attributes: '' })
  return refs
}

const newChunks = (one: RefListing, other: RefListing): Buffer[] => {
  const known = new Set(one.chunks)
  return other.chunks.filter((chunk) => !known.has(chunk))
}

t.test('a splice shares all blocks but those that change', async (t) => {
  const refs = many(20_000)
  const listing = listingOf(answer(refs, ['']))
  t.ok(listing.chunks.length > 15)
  const put = async (name: string, value?: Value): Promise<RefListing> => {
    const changed: Refs = new Map(refs)
    if (value) changed.set(name, value)
    else changed.delete(name)
    const spliced = await listing.splice([name], answer(changed, [name]))
    t.ok(bytesOf(spliced).equals(answer(changed, [''])), name)
    return spliced
  }
  const other = { id: id('2'), attributes: '' }
  for (const name of [
    'refs/heads/b0000000',
    'refs/heads/b0010000',
    'refs/heads/b0019999',
    'refs/new',
    'refs/a',
  ])
    t.equal(newChunks(listing, await put(name, other)).length, 1, name)
  t.equal(newChunks(listing, await put('refs/heads/b0005555')).length, 1, 'a deletion')
  const headOnly = await put('HEAD', other)
  t.equal(newChunks(listing, headOnly).length, 1)
  t.ok(newChunks(listing, headOnly)[0]!.length < 100, 'HEAD has a block of its own')
  // A prefix of many names of which one changes.
  const changed: Refs = new Map(refs).set('refs/heads/b0007777', other)
  const wide = await listing.splice(['HEAD', 'refs/heads/'], answer(changed, ['HEAD', 'refs/heads/']))
  t.equal(newChunks(listing, wide).length, 1, 'lines that are equal stay')
  t.equal(await listing.splice(['HEAD', 'refs/'], answer(refs, [''])), listing)
  t.ok(Math.abs(wide.bytes - listing.bytes) < 200_000, 'memory is counted')
})

t.test('blocks stay of about one size in thousands of splices', async (t) => {
  const refs = many(8000)
  let listing = listingOf(answer(refs, ['']))
  let seed = 1
  const random = (limit: number): number => (seed = (seed * 48_271) % 0x7fffffff) % limit
  const check = (): void => {
    const sizes = listing.chunks.slice(1, -1).map(({ length }) => length)
    t.ok(
      sizes.every((size) => size <= 98_304),
      'none is too large',
    )
    const small = sizes.filter((size) => size < 32_768)
    t.ok(small.length <= 1, `${small.length} of ${sizes.length} are small`)
    t.ok(bytesOf(listing).equals(answer(refs, [''])))
    t.ok(listing.bytes < 3 * bytesOf(listing).length + 2_000_000, `${listing.bytes} bytes`)
  }
  const apply = async (name: string, value?: Value): Promise<void> => {
    if (value) refs.set(name, value)
    else refs.delete(name)
    const line = value ? pktLine(`${value.id} ${name}${value.attributes}\n`) : Buffer.alloc(0)
    listing = await listing.splice([name], Buffer.concat([line, flush]))
  }
  const value = { id: id('2'), attributes: '' }
  // At one place, at the end, and everywhere; ten digits, so that no name is the prefix of another one.
  for (let index = 0; index < 2000; index++)
    await apply(`refs/heads/b0004000x${String(index).padStart(5, '0')}`, value)
  check()
  for (let index = 0; index < 2000; index++)
    await apply(`refs/pull/${String(index).padStart(9, '0')}/head`, value)
  check()
  for (let index = 0; index < 500; index++)
    await apply(
      `refs/heads/b${String(random(8000)).padStart(7, '0')}y${String(index).padStart(5, '0')}`,
      value,
    )
  check()
  const names = [...refs.keys()].filter((name) => name.startsWith('refs/heads/b') && name.length > 19)
  for (const name of names) await apply(name)
  for (let index = 0; index < 2000; index++) await apply(`refs/pull/${String(index).padStart(9, '0')}/head`)
  check()
})

t.test('deletions of all sizes, and a listing that comes to nothing and back', async (t) => {
  const refs = many(5000)
  let listing = listingOf(answer(refs, ['']))
  for (const prefix of ['refs/heads/b0001', 'refs/heads/b000', 'HEAD', 'refs/']) {
    for (const name of [...refs.keys()]) if (name.startsWith(prefix)) refs.delete(name)
    listing = await listing.splice([prefix], answer(refs, [prefix]))
    t.ok(bytesOf(listing).equals(answer(refs, [''])), prefix)
  }
  t.equal(listing.count, 0)
  const [again] = [many(5000)]
  listing = await listing.splice(['HEAD', 'refs/'], answer(again, ['']))
  t.ok(bytesOf(listing).equals(answer(again, [''])))
  t.ok(listing.chunks[0]!.length < 100, 'HEAD has a block of its own')
})

t.test('refs are found by their whole names', async (t) => {
  const refs: Refs = new Map([
    ['HEAD', { id: 'unborn', attributes: ' symref-target:refs/heads/none' }],
    ...['refs/a', 'refs/a-b', 'refs/a/b', 'refs/a\x80', 'refs/\xff'].map((name): [string, Value] => [
      name,
      { id: id('1'), attributes: ` peeled:${id('2')}` },
    ]),
  ])
  const listing = listingOf(answer(refs, ['']))
  for (const name of refs.keys())
    t.equal(listing.find(Buffer.from(name, 'latin1'))?.name.toString('latin1'), name)
  for (const name of [
    '',
    'H',
    'HEA',
    'HEADS',
    'refs',
    'refs/',
    'refs/a-',
    'refs/a/',
    'refs/b',
    'refs/\xff\xff',
  ])
    t.equal(listing.find(Buffer.from(name, 'latin1')), undefined, name)
  t.equal(listing.find(Buffer.from('HEAD'))?.objectId, undefined)
})

t.test('answers that cannot be right are refused', async (t) => {
  const refs = many(3000)
  const listing = listingOf(answer(refs, ['']))
  const line = (name: string, text = id('2')): Buffer => pktLine(`${text} ${name}\n`)
  const first = 'refs/heads/b0000000'
  const refused = (prefixes: string[], what: string, ...lines: Buffer[]): Promise<unknown> =>
    t.rejects(listing.splice(prefixes, Buffer.concat(lines)), what)
  await refused([first], 'no flush packet', line(first))
  await refused([first], 'nothing')
  await refused([first], 'two flush packets', line(first), flush, flush)
  await refused([first], 'a line is cut', line(first).subarray(0, -5), flush)
  await refused([first], 'a length that is none', Buffer.from('zzzz'), flush)
  await refused([first], 'a delimiter', Buffer.from('0001'), flush)
  await refused([first], 'another name', line('refs/heads/c'), flush)
  await refused([first], 'HEAD was not asked for', line('HEAD'), line(first), flush)
  await refused(['HEAD', first], 'HEAD is not first', line(first), line('HEAD'), flush)
  await refused(['HEAD', first], 'HEAD twice', line('HEAD'), line('HEAD'), flush)
  await refused([first], 'twice', line(first), line(first), flush)
  await refused(
    ['refs/heads/b'],
    'not in order',
    line('refs/heads/b0000002'),
    line('refs/heads/b0000001'),
    flush,
  )
  await refused(
    ['refs/heads/b0000001', 'refs/heads/b0000002'],
    'not in order, of two ranges',
    line('refs/heads/b0000002'),
    line('refs/heads/b0000001'),
    flush,
  )
  await refused([first], 'another object format', line(first, '2'.repeat(64)), flush)
  await refused([first], 'no object id', line(first, 'x'.repeat(40)), flush)
  await refused([first], 'an unborn branch', line(first, 'unborn'), flush)
  await refused([first], 'an unknown attribute', line(`${first} x:y`), flush)
  await refused([first], 'no name', pktLine(`${id('2')} \n`), flush)
  await refused(['refs/heads/b', first], 'prefixes that overlap', flush)
  await refused(['refs/tags/', 'refs/heads/'], 'prefixes that are not sorted', flush)
  await t.rejects(new RefListing().splice(['HEAD'], flush), 'a listing that is not complete')
  t.throws(() => new RefListing().chunks)
  t.throws(() => new RefListing().symrefs())
})
