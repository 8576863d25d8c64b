import { LRUCache } from 'lru-cache'
import type { FreshCache } from '../../../freshness/fresh-cache.js'
import { AdvertisementFrame } from '../../../git/protocol/advertisement-frame.js'
import type { RefListing } from '../../../git/protocol/ref-listing.js'
import type { ProtocolVersion } from '../../../git/protocol/version.js'
import { inTurns, Revision, Rope, type Entry, type Produce } from '../../../streamcache/index.js'
import type { SharedListing } from '../../ref-listings.js'
import { refDetailsOf, type RefsRun } from './refs-run.js'
import type { SpliceReports, UnsplicedReason } from './splice-reports.js'
import { entriesAtMost } from '../../../limits/entries-at-most.js'

/** Bytes of a body whose chunks are not worth being shared between versions. */
const joinedMax = 64 * 1024
/** Most frames that are remembered: about 500 bytes each. */
const framesMax = 10_000

export interface DerivedAdvertisementsOptions {
  readonly cache: Pick<FreshCache, 'committed'>
  readonly reports: SpliceReports
}

/**
 * Makes the advertisement of protocol v0 or v1 from the listing of the same state, so that it costs no process of its own. What
 * stands around the refs (capabilities, `shallow` lines) depends on the configuration and on where HEAD points, and is known from
 * the last advertisement that Git has written with the same.
 */
export class DerivedAdvertisements {
  readonly #options: DerivedAdvertisementsOptions
  readonly #frames = new LRUCache<string, AdvertisementFrame>(entriesAtMost(framesMax))
  /** Frames that are being read. */
  readonly #reading = new Set<string>()

  constructor(options: DerivedAdvertisementsOptions) {
    this.#options = options
  }

  /**
   * Yields one Revision if the advertisement can be derived, and else what Git writes.
   * @param list returns the listing of a state that is as new as the run's
   */
  async *produce(
    version: ProtocolVersion,
    run: RefsRun,
    list: () => Promise<SharedListing | undefined>,
    full: () => AsyncIterable<Buffer>,
  ): AsyncGenerator<Produce> {
    const { reports } = this.#options
    const made = await this.#derive(version, run, list)
    reports.count('advertisement', made instanceof Revision ? 'spliced' : made)
    if (made instanceof Revision) yield made
    else yield* full()
  }

  async #derive(
    version: ProtocolVersion,
    run: RefsRun,
    list: () => Promise<SharedListing | undefined>,
  ): Promise<Revision | UnsplicedReason> {
    const { cache, reports } = this.#options
    if (!reports.isOn(run.repository.gitDir)) return 'off'
    if (run.isRetry) return 'retry'
    const name = nameOf(version, run)
    const frame = name === undefined ? undefined : this.#frames.get(name)
    if (name === undefined || !frame) return 'unknown'
    // If the fill of the listing has failed, that of the advertisement may succeed all the same.
    const listing = await wholeOf(list).catch(() => undefined)
    if (!listing) return 'answer'
    const chunks = await frame.advertise(listing)
    if (!chunks) {
      // HEAD points elsewhere by now: what Git writes next is read anew.
      if (this.#frames.peek(name) === frame) this.#frames.delete(name)
      return 'answer'
    }
    const earlier = cache.committed(run.key)
    const base = earlier?.rope && { entry: earlier, rope: earlier.rope }
    return new Revision(new Rope(joined(chunks)), base)
  }

  /** Reads what stands around the refs of an advertisement that Git has written, unless it is known. */
  learn(version: ProtocolVersion, run: RefsRun, entry: Entry): void {
    const name = nameOf(version, run)
    if (name === undefined || this.#frames.has(name) || this.#reading.has(name)) return
    this.#reading.add(name)
    void AdvertisementFrame.read(inTurns(entry.follow()))
      .then(
        (frame) => frame && this.#frames.set(name, frame),
        // It cannot be read now; the next one may.
        () => {},
      )
      .finally(() => this.#reading.delete(name))
  }
}

/** @throws the error of the listing's fill */
async function wholeOf(list: () => Promise<SharedListing | undefined>): Promise<RefListing | undefined> {
  const listing = await list()
  await listing?.end()
  return listing?.whole
}

/** A short body is one chunk: it is sent without a promise. */
function joined(chunks: readonly Buffer[]): readonly Buffer[] {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  return length <= joinedMax ? [Buffer.concat(chunks, length)] : chunks
}

/** Names what decides a frame. */
function nameOf(version: ProtocolVersion, { seen }: RefsRun): string | undefined {
  const details = refDetailsOf(seen)
  if (!details) return undefined
  const { configuration, records, shallow } = details
  return `v${version} ${configuration} ${records.slice(...shallow).join(' ')}`
}
