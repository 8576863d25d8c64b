import t from 'tap'
import fc from 'fast-check'
import { replacementsBetween } from '../../../src/origin/deltas/replacements.js'
import { RefListing } from '../../../src/git/protocol/ref-listing.js'
import { pktLine } from '../../../src/git/protocol/pkt-line.js'
import { answerTo, everything, manyRefs } from '../../support/listings.js'
import { applied, cut, deltaOfParts, digestOf } from '../../support/deltas.js'

t.test('any text becomes any other one, in whatever parts both stand', () => {
  const text = fc
    .array(
      fc.oneof(
        fc.string({ maxLength: 20 }),
        fc.integer({ min: 0, max: 30 }).map((n) => `${n} ${'refs/x'.repeat(n + 10)}\n`),
      ),
    )
    .map((words) => Buffer.from(words.join('')))
  const size = fc.integer({ min: 1, max: 300 })
  return fc.assert(
    fc.asyncProperty(text, text, size, size, async (before, after, oldSize, newSize) => {
      const delta = await deltaOfParts(cut(before, oldSize), cut(after, newSize))
      const result = delta && (await applied(before, delta, digestOf(after), newSize))
      return result === undefined || result.equals(after)
    }),
    { numRuns: 300 },
  )
})

const refs = manyRefs(20_000)
const bytes = answerTo(refs, everything)

/** Returns the length of the delta from one listing to another, after it was applied. */
async function deltaLength(before: Buffer, after: Buffer): Promise<number> {
  const delta = await deltaOfParts(cut(before, 65_536), cut(Buffer.from(after), 50_000))
  t.ok(delta && (await applied(before, delta, digestOf(after))).equals(after))
  return delta?.length ?? Infinity
}

t.test('what changes in a listing costs about its own bytes, without shared memory', async (t) => {
  const changed = (index: number): Buffer => {
    const copy = Buffer.from(bytes)
    copy.fill('7', copy.indexOf(refs[index]!.name) - 41, copy.indexOf(refs[index]!.name) - 1)
    return copy
  }
  t.ok((await deltaLength(bytes, changed(500))) < 100, 'another object')
  t.ok((await deltaLength(bytes, changed(refs.length - 1))) < 200, 'of the last ref')
  const without = (from: number, to: number): Buffer =>
    answerTo([...refs.slice(0, from), ...refs.slice(to)], everything)
  t.ok((await deltaLength(bytes, without(500, 501))) < 100, 'a deletion')
  t.ok((await deltaLength(without(500, 501), bytes)) < 200, 'a creation')
  t.ok((await deltaLength(bytes, without(500, 5500))) < 200, 'five thousand deletions')
  t.ok((await deltaLength(bytes, without(refs.length - 1, refs.length))) < 200, 'a deletion at the end')
  t.ok((await deltaLength(without(refs.length - 1, refs.length), bytes)) < 300, 'a creation at the end')
  t.ok((await deltaLength(changed(0), changed(30_000))) < 300, 'two changes far apart')
})

t.test('versions of a listing that share their blocks are compared where they differ', async (t) => {
  const before = new RefListing()
  before.append(bytes)
  const { name } = refs[9000]!
  const line = Buffer.concat([pktLine(`${'5'.repeat(40)} ${name}\n`), Buffer.from('0000')])
  const after = await before.splice([name], line)
  let compared = 0
  const prototype = Buffer.prototype as object
  const original = Object.getOwnPropertyDescriptor(prototype, 'compare')!
  const compare = original.value as (...args: unknown[]) => -1 | 0 | 1
  const counting = function (this: Buffer, ...args: unknown[]): -1 | 0 | 1 {
    compared++
    return compare.apply(this, args)
  }
  Object.defineProperty(prototype, 'compare', { ...original, value: counting })
  t.teardown(() => void Object.defineProperty(prototype, 'compare', original))
  const [replacement, ...others] = (await replacementsBetween(before.chunks, after.chunks, 1000))!
  t.equal(others.length, 0)
  t.equal(Buffer.concat(replacement!.bytes).toString(), '5'.repeat(40))
  t.ok(compared < 50, `${compared} comparisons`)
})

t.test('there is none that would be too long, or of texts that have nothing in common', async (t) => {
  const other = Buffer.from(bytes).reverse()
  t.equal(await deltaOfParts([bytes], [other]), undefined)
  t.equal(await deltaOfParts([bytes], [Buffer.concat([Buffer.alloc(500, 'x'), bytes])], 400), undefined)
  t.same(await replacementsBetween([bytes], [bytes], 0), [])
  t.same(await replacementsBetween([], [], 0), [])
})
