import t from 'tap'
import { RefListing } from '../../../../src/git/protocol/ref-listing.js'
import { headTarget, leasedCandidates } from '../../../../src/origin/disk/splices/leased-candidates.js'
import { answerTo, everything, type ListedRef } from '../../../support/listings.js'

function listingOf(...refs: readonly ListedRef[]): RefListing {
  const listing = new RefListing()
  listing.append(answerTo(refs, everything))
  return listing
}

const listing = listingOf(
  { name: 'HEAD', symrefTarget: 'refs/heads/main' },
  { name: 'refs/heads/a' },
  { name: 'refs/heads/a/b' },
  { name: 'refs/heads/main' },
  { name: 'refs/heads/s', symrefTarget: 'refs/heads/a' },
)
const candidates = (...names: string[]) => leasedCandidates(names, listing, 4)

t.test('what leases have named, HEAD, and all symbolic refs', async (t) => {
  t.same(candidates(), ['HEAD', 'refs/heads/s'])
  t.same(candidates('refs/heads/main'), ['HEAD', 'refs/heads/main', 'refs/heads/s'])
  t.same(candidates('HEAD', 'refs/heads/main'), ['HEAD', 'refs/heads/main', 'refs/heads/s'])
  t.same(candidates('refs/heads/a/b', 'refs/heads/a'), ['HEAD', 'refs/heads/a', 'refs/heads/s'])
})

t.test('where a change may show in a ref that nothing names, all refs are listed', async (t) => {
  t.equal(candidates('refs/heads/main', 'refs/heads/later'), 'new', 'perhaps the target of a symbolic ref')
  t.equal(candidates('refs/heads/mai'), 'new', 'the beginning of a name is another one')
  t.equal(candidates('refs/heads/s'), 'symref')
  const three = ['refs/heads/a', 'refs/heads/a/b', 'refs/heads/main']
  t.equal(leasedCandidates(three, listing, 4), 'candidates', 'too many')
})

t.test('HEAD', async (t) => {
  t.equal(headTarget(listing), 'refs/heads/main')
  const detached = listingOf({ name: 'HEAD' }, { name: 'refs/heads/a' })
  t.equal(headTarget(detached), undefined)
  t.same(leasedCandidates(['HEAD'], detached, 4), ['HEAD'])
  const unborn = listingOf(
    { name: 'HEAD', symrefTarget: 'refs/heads/x', peeled: 'unborn' },
    { name: 'refs/heads/a' },
  )
  t.equal(leasedCandidates(['HEAD'], unborn, 4), 'new')
  t.same(leasedCandidates(['refs/heads/a'], unborn, 4), ['HEAD', 'refs/heads/a'])
  t.equal(leasedCandidates(['HEAD'], listingOf({ name: 'refs/heads/a' }), 4), 'new', 'it is not listed')
})
