import t from 'tap'
import type { RefQuery } from '../../src/git/protocol/ls-refs.js'
import type { SharedListing } from '../../src/origin/ref-listings.js'
import { AnswerDigests } from '../../src/service/answer-digests.js'
import { answerTo, everything, manyRefs, sharedListing, type ListedRef } from '../support/listings.js'
import { sha256 } from '../support/sha256.js'

const refs = manyRefs(20_000)
const heads: RefQuery = { ...everything, prefixes: ['refs/heads/'] }

/** Counts in `taken` the parts that are taken to be hashed. */
function asker(digests: AnswerDigests) {
  const state = { taken: 0 }
  const ask = (listing: SharedListing, query: RefQuery) => {
    const { length, parts } = listing.cutNow(query)!
    const counted = function* () {
      for (const part of parts) {
        state.taken++
        yield part
      }
    }
    return digests.of(listing, query, { length, parts: counted() })
  }
  return { state, ask }
}

t.test('the digest is that of the answer’s bytes, and is made once for a question', async (t) => {
  const listing = await sharedListing(answerTo(refs, everything))
  const { state, ask } = asker(new AnswerDigests())
  for (const query of [everything, heads, { ...heads, prefixes: ['refs/none/'] }]) {
    t.equal(await ask(listing, query), sha256(answerTo(refs, query)))
    const { taken } = state
    t.ok(taken > 0)
    const again = { ...query, prefixes: [...query.prefixes, ...query.prefixes].reverse() }
    t.equal(await ask(listing, again), sha256(answerTo(refs, query)))
    t.equal(state.taken, taken)
    state.taken = 0
  }
})

t.test('another listing, and another question, have digests of their own', async (t) => {
  const digests = new AnswerDigests()
  const { ask } = asker(digests)
  const unborn: ListedRef[] = [{ name: 'HEAD', symrefTarget: 'refs/heads/x', peeled: 'unborn' }]
  const listings = [refs, refs.slice(0, 100), unborn]
  for (const all of listings) {
    const listing = await sharedListing(answerTo(all, everything))
    for (const query of [everything, heads, { ...everything, unborn: false }]) {
      t.equal(await ask(listing, query), sha256(answerTo(all, query)))
    }
  }
})

t.test('an answer with all lines of an entry has the entry’s digest', async (t) => {
  const bytes = answerTo(refs, everything)
  const listing = await sharedListing(bytes)
  let hashed = 0
  const digest = () => (hashed++ === 0 ? Promise.resolve('known') : 'known')
  Object.assign(listing.entry as object, { digest, size: bytes.length })
  const { state, ask } = asker(new AnswerDigests())
  t.equal(await ask(listing, everything), 'known', 'computed for this request, as that of a rope is')
  t.equal(ask(listing, { ...everything, prefixes: ['HEAD', 'refs/'] }), 'known')
  t.equal(state.taken, 0)
  t.equal(await ask(listing, heads), sha256(answerTo(refs, heads)))
})
