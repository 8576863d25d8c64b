import type { Test } from 'tap'
import { once } from 'node:events'
import { AgedCache, type AgedCacheOptions } from '../../src/freshness/aged/aged-cache.js'
import type { AgedReading, AgedRequest } from '../../src/freshness/aged/aged-request.js'
import { Leases } from '../../src/freshness/leases/leases.js'
import type { Entry, Fill, StreamCacheOptions } from '../../src/streamcache/index.js'
import { FakeClock } from './fake-clock.js'
import { collect, turns } from './producers.js'
import { openCache, type TestCache } from './stream-cache.js'

/** A question to the origin that the test answers. */
export interface Asked {
  readonly kept: Entry | undefined
  readonly signal: AbortSignal
  readonly request: AgedRequest
  answer(answer: AsyncIterable<Buffer> | 'unchanged'): void
  fail(error: unknown): void
}

/** The origin refuses: 401, 403 or 404. */
export class Refused extends Error {}

export interface AgedRig extends TestCache {
  readonly aged: AgedCache
  readonly clock: FakeClock
  readonly leases: Leases
  /** The questions so far. */
  readonly asked: Asked[]
  /** The fills so far. */
  readonly fills: Fill[]
  /** Calls of the cache's events: `client KEY`, `CAUSE KEY`, `stale KEY`. */
  readonly calls: string[]
  /** Returns a request that arrives now; exact unless `changes` say otherwise. */
  request(changes?: Partial<AgedRequest>): AgedRequest
  /** Resolves with the question of that number, counted from 1, once it is asked. */
  question(number: number): Promise<Asked>
}

export async function openAged(
  t: Test,
  {
    random = () => 0.5,
    ...options
  }: Partial<StreamCacheOptions> & Partial<Pick<AgedCacheOptions, 'random'>> = {},
): Promise<AgedRig> {
  const test = await openCache(t, options)
  const clock = new FakeClock()
  const leases = new Leases(undefined, { changed: (subject) => aged.changed(subject) })
  const calls: string[] = []
  const aged = new AgedCache({
    ...{ cache: test.cache, clock, random },
    statusOf: (subject) => leases.statusOf(subject),
    events: {
      clientAsked: (key) => calls.push(`client ${key}`),
      upstreamAsked: (key, cause) => calls.push(`${cause} ${key}`),
      servedStale: (key) => calls.push(`stale ${key}`),
    },
  })
  t.teardown(() => {
    aged.close()
    leases.close()
  })
  const asked: Asked[] = []
  const fills: Fill[] = []
  const asking = new EventTarget()
  const request: AgedRig['request'] = (changes = {}) => {
    const request: AgedRequest = {
      ...{ key: 'k', subject: '/r', arrivedAtMs: clock.now(), maxAgeMs: 0, staleMs: 0 },
      ask: (kept, signal) =>
        new Promise((answer, fail) => {
          signal.addEventListener('abort', () => fail(signal.reason))
          asked.push({ kept, signal, request, answer, fail })
          asking.dispatchEvent(new Event('asked'))
        }),
      mayBeStale: (error) => !(error instanceof Refused),
      fillStarted: (fill) => fills.push(fill),
      ...changes,
    }
    return request
  }
  const question: AgedRig['question'] = async (number) => {
    while (asked.length < number) await once(asking, 'asked')
    return asked[number - 1]!
  }
  return { ...test, aged, clock, leases, asked, fills, calls, request, question }
}

/** Returns an answer of these chunks. */
export async function* bodyOf(...chunks: (Buffer | string)[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

/** Reads an entry's bytes and closes the follower. */
export const textOf = async (reading: AgedReading | Promise<AgedReading>): Promise<string> =>
  String(await collect((await reading).follower))

/** Fills the key of a request with these bytes, and waits until the round has ended. */
export async function fill(rig: AgedRig, body: string, changes: Partial<AgedRequest> = {}): Promise<Entry> {
  const reading = rig.aged.read(rig.request(changes))
  const asked = await rig.question(rig.asked.length + 1)
  asked.answer(bodyOf(body))
  const { entry } = await reading
  await textOf(reading)
  await rig.fills.at(-1)!.ended
  await turns()
  return entry
}

/** Checks a reading and closes its follower. */
export async function answered(
  t: Test,
  reading: AgedReading | Promise<AgedReading>,
  expected: Partial<AgedReading>,
): Promise<void> {
  const { reuse, ageMs, isStale, follower } = await reading
  follower.close()
  t.match({ reuse, ageMs, isStale }, expected)
}
