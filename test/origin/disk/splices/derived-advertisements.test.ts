import t, { type Test } from 'tap'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { DerivedAdvertisements } from '../../../../src/origin/disk/splices/derived-advertisements.js'
import { SpliceReports } from '../../../../src/origin/disk/splices/splice-reports.js'
import type { SharedListing } from '../../../../src/origin/ref-listings.js'
import { RefListing } from '../../../../src/git/protocol/ref-listing.js'
import { flushPacket, pktLine } from '../../../../src/git/protocol/pkt-line.js'
import { Revision, type Entry, type Produce } from '../../../../src/streamcache/index.js'
import { Metrics } from '../../../../src/telemetry/metrics.js'

const commit = '1'.repeat(40)
const [main, next] = ['refs/heads/main', 'refs/heads/next']

/** What Git writes of two branches, of which HEAD points to one. */
function advertised(head: string): Buffer {
  const first = `${commit} HEAD\0ofs-delta symref=HEAD:${head} object-format=sha1 agent=git/2.39.5\n`
  const refs = [first, `${commit} ${main}\n`, `${commit} ${next}\n`].map((line) => pktLine(line))
  return Buffer.concat([pktLine('# service=git-upload-pack\n'), flushPacket, ...refs, flushPacket])
}

/** The listing of the same. */
function listingOf(head: string): SharedListing {
  const lines = [`${commit} HEAD symref-target:${head}\n`, `${commit} ${main}\n`, `${commit} ${next}\n`]
  const whole = new RefListing()
  whole.append(Buffer.concat([...lines.map((line) => pktLine(line)), flushPacket]))
  return { whole, end: () => Promise.resolve() } as unknown as SharedListing
}

const details = { configuration: 'c', records: ['/r.git/shallow -'], shallow: [0, 1] }
const seen = { token: 't', unsettledMs: 0, generation: 0, openings: 0, maxAgeMs: Infinity, details }
const run = {
  key: 'advertisement v0 /r.git',
  repository: { gitDir: '/r.git' },
  seen,
  isRetry: false,
} as never

interface Rig {
  /** Resolves with how the advertisement of a repository was made. */
  make(head: string, list?: () => Promise<SharedListing>): Promise<'derived' | 'full'>
}

function makeRig(t: Test): Rig {
  const metrics = new Metrics()
  const reports = new SpliceReports({ enabled: true, metrics, log: { error: () => {} } as never })
  const derived = new DerivedAdvertisements({ cache: { committed: () => undefined }, reports })
  return {
    make: async (head, list = () => Promise.resolve(listingOf(head))) => {
      const full = async function* (): AsyncGenerator<Buffer> {
        yield Promise.resolve(advertised(head))
      }
      const made: Produce[] = []
      for await (const produced of derived.produce(0, run, list, full)) made.push(produced)
      const [only] = made
      const bytes = only instanceof Revision ? Buffer.concat([...only.rope.chunks]) : only
      t.same(bytes, advertised(head), 'the answer is that of Git')
      if (only instanceof Revision) return 'derived'
      const follow = async function* (): AsyncGenerator<Buffer> {
        yield Promise.resolve(advertised(head))
      }
      derived.learn(0, run, { follow } as unknown as Entry)
      // Reading an advertisement in memory takes no more than one iteration of the event loop.
      await yieldToEventLoop()
      await yieldToEventLoop()
      return 'full'
    },
  }
}

t.test('an advertisement is derived once Git has written one', async (t) => {
  const rig = makeRig(t)
  t.equal(await rig.make(main), 'full')
  t.equal(await rig.make(main), 'derived')
})

t.test('when HEAD points elsewhere, what Git writes then is read anew', async (t) => {
  const rig = makeRig(t)
  t.equal(await rig.make(main), 'full')
  t.equal(await rig.make(next), 'full')
  t.equal(await rig.make(next), 'derived', 'and not all advertisements from then on are written by Git')
})

t.test('if the listing cannot be had, Git writes the advertisement', async (t) => {
  const rig = makeRig(t)
  t.equal(await rig.make(main), 'full')
  const failing = (): Promise<SharedListing> =>
    Promise.reject(new Error('the fill of the listing has failed'))
  t.equal(await rig.make(main, failing), 'full')
  t.equal(await rig.make(main), 'derived', 'what is known of the advertisement stays')
})
