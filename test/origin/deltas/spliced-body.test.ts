import t from 'tap'
import fc from 'fast-check'
import { encodeDelta } from '../../../src/origin/deltas/delta-format.js'
import { splicedBody } from '../../../src/origin/deltas/spliced-body.js'
import type { Splice } from '../../../src/streamcache/index.js'
import { applied, digestOf } from '../../support/deltas.js'

const base = Buffer.from('0123456789'.repeat(20))
const result = Buffer.from(`ab${base.toString().slice(5, 100)}${base.toString().slice(120)}cd`)
const replacements: readonly Splice[] = [
  { start: 0, end: 5, bytes: [Buffer.from('a'), Buffer.from('b')] },
  { start: 100, end: 120, bytes: [] },
  { start: 200, end: 200, bytes: [Buffer.from('cd')] },
]
const lengths = { baseLength: base.length, length: result.length }
const delta = encodeDelta(lengths, replacements)

t.test('replacements are applied, in whatever parts the bytes come', async (t) => {
  for (const size of [1, 7, 1000]) t.same(await applied(base, delta, digestOf(result), size), result)
})

t.test('a damaged delta never has an end', () =>
  fc.assert(
    fc.asyncProperty(
      fc.nat(delta.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.boolean(),
      async (at, flip, isCut) => {
        const damaged = isCut ? delta.subarray(0, at) : Buffer.from(delta)
        if (!isCut) damaged[at]! ^= flip
        const made = await applied(base, damaged, digestOf(result)).catch((error: unknown) => error)
        return made instanceof Error && made.name === 'DamagedDelta'
      },
    ),
    { numRuns: 500 },
  ),
)

const damages: Record<string, { readonly bytes: Buffer; readonly says: RegExp }> = {
  'of other bytes': {
    bytes: encodeDelta({ ...lengths, baseLength: 199 }, replacements),
    says: /other bytes/,
  },
  'in no order': { bytes: encodeDelta(lengths, [replacements[1]!, replacements[0]!]), says: /not there/ },
  'behind the end': {
    bytes: encodeDelta(lengths, [{ start: 190, end: 201, bytes: [] }]),
    says: /not there/,
  },
  'that replaces nothing by nothing': {
    bytes: encodeDelta(lengths, [{ start: 7, end: 7, bytes: [] }, ...replacements.slice(1)]),
    says: /nothing by nothing/,
  },
  'too long': {
    bytes: encodeDelta({ ...lengths, length: result.length - 1 }, replacements),
    says: /longer/,
  },
  'too short': {
    bytes: encodeDelta({ ...lengths, length: result.length + 1 }, replacements),
    says: /shorter/,
  },
  'with more behind it': { bytes: Buffer.concat([delta, Buffer.from('x')]), says: /after its end/ },
  empty: { bytes: Buffer.alloc(0), says: /too early/ },
  'something else': { bytes: Buffer.from('<html>no such page</html>'), says: /begin/ },
}
for (const [what, { bytes, says }] of Object.entries(damages)) {
  t.test(`a delta ${what} is refused`, (t) => t.rejects(applied(base, bytes, digestOf(result)), says))
}

t.test('a result with another digest is refused', (t) =>
  t.rejects(applied(base, delta, digestOf(base)), /another digest/),
)

t.test('a base that is shorter than it should be is refused', (t) =>
  t.rejects(applied(base.subarray(0, 150), delta, digestOf(result)), /other bytes|too early/),
)

t.test('a delta of nothing but empty replacements ends at the first of them', async (t) => {
  const head = encodeDelta(lengths, []).fill(0xff, 12)
  let sent = 0
  const endless = async function* (): AsyncGenerator<Buffer> {
    yield head
    for (; sent < 1000; sent++) yield Buffer.alloc(12)
  }
  const parts = splicedBody({
    base: [base],
    baseLength: base.length,
    delta: endless(),
    sha256: digestOf(base),
  })
  await t.rejects(parts.next(), /nothing by nothing/)
  t.equal(sent, 0, 'no more of it is read')
})

/** Applies a delta, in one chunk, that removes so many bytes one by one. @returns iterations of the event loop meanwhile */
async function turnsOfRemovals(count: number): Promise<number> {
  const long = Buffer.alloc(2 * count, 'ab')
  const removals = Array.from({ length: count }, (_, at) => ({ start: 2 * at, end: 2 * at + 1, bytes: [] }))
  const damaged = encodeDelta({ baseLength: long.length, length: count }, removals)
  let turns = 0
  let turn = setImmediate(function next() {
    turns++
    turn = setImmediate(next)
  })
  try {
    const result = Buffer.alloc(count, 'b')
    const made = await applied(long, damaged, digestOf(result), damaged.length)
    if (!made.equals(result)) throw new Error('it is wrong')
  } finally {
    clearImmediate(turn)
  }
  return turns
}

t.test('many replacements that make nothing do not block the event loop', async (t) => {
  t.ok((await turnsOfRemovals(5_000)) >= 9)
})

t.test('a delta that is longer than any is refused', (t) =>
  t.rejects(turnsOfRemovals(90_000), { name: 'DamagedDelta', message: /longer than any/ }),
)
