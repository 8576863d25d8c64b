import t from 'tap'
import type { FullReason } from '../../../../src/git/state/ref-changes/full-reason.js'
import { KnownListings } from '../../../../src/origin/disk/splices/known-listings.js'
import { descriptorLimit, heldOpenWithin } from '../../../../src/limits/file-descriptors.js'
import type { RefDetails } from '../../../../src/git/state/ref-details.js'
import type { Repository } from '../../../../src/git/state/repository.js'
import type { Entry } from '../../../../src/streamcache/index.js'

const repository = {} as Repository
const entryOf = (number: number): Entry => ({ key: `listing sha1 /${number}.git` }) as unknown as Entry

/** Listings whose states are remembered when the test says so. */
function makeRig() {
  const begun: string[] = []
  const ends: (() => void)[] = []
  const remember = (_: Repository, details: RefDetails): Promise<FullReason> => {
    begun.push(details.configuration)
    return new Promise((resolve) => ends.push(() => resolve({ full: 'head' })))
  }
  const known = new KnownListings({}, remember)
  const note = (number: number, entry = entryOf(number)): Entry => {
    known.note(entry, 0, repository, { configuration: `${number}` } as RefDetails)
    return entry
  }
  /** Ends what runs, until nothing runs any more. */
  const endAll = async (): Promise<void> => {
    for (let end = ends.shift(); end; end = ends.shift()) {
      end()
      await new Promise(setImmediate)
    }
  }
  return { known, note, begun, ends, endAll }
}

t.test(
  'a thousand states at once are remembered one after another, and only those that are kept',
  async (t) => {
    const { known, note, begun, ends, endAll } = makeRig()
    const kept = heldOpenWithin(descriptorLimit())
    const first = entryOf(0)
    note(0, first)
    const dropped = Array.from({ length: 20 }, (_, index) => known.get(note(index + 1).key)!)
    for (let number = 21; number < kept + 21; number++) note(number)
    t.strictSame(begun, ['0', '1', '2', '3', '4', '5', '6', '7'], 'eight at once')
    t.equal(known.get(first.key), undefined)
    t.strictSame(await dropped[10]!.refs, { full: 'unknown' }, 'none that has been dropped is waited for')
    await endAll()
    t.equal(ends.length, 0)
    t.equal(begun.length, 8 + kept)
    t.strictSame(begun.slice(0, 10), ['0', '1', '2', '3', '4', '5', '6', '7', '21', '22'])
    t.strictSame(await known.get(entryOf(kept + 20).key)?.refs, { full: 'head' })
  },
)

t.test('an entry is noted once, and a newer one of its key takes its place', async (t) => {
  const { known, note, begun, endAll } = makeRig()
  const busy = Array.from({ length: 8 }, (_, number) => note(number))
  note(0, busy[0])
  const older = note(9)
  const { refs } = known.get(older.key)!
  const newer = note(9)
  t.strictSame(await refs, { full: 'unknown' })
  t.equal(known.get(older.key)?.entry, newer)
  await endAll()
  t.strictSame(begun, ['0', '1', '2', '3', '4', '5', '6', '7', '9'])
})

t.test('nothing begins after the end', async (t) => {
  const { known, note, begun, endAll } = makeRig()
  for (let number = 0; number < 20; number++) note(number)
  known.close()
  await endAll()
  t.equal(begun.length, 8)
})

t.test('what fails is not remembered', async (t) => {
  const known = new KnownListings({}, () => Promise.reject(new Error('broken')))
  const entry = entryOf(1)
  known.note(entry, 0, repository, {} as RefDetails)
  t.strictSame(await known.get(entry.key)?.refs, { full: 'unreadable' })
})
