import t from 'tap'
import { PeerRefused } from '../../src/fleet/peers/peer.js'
import { FreshCache } from '../../src/freshness/fresh-cache.js'
import type { FillRequest } from '../../src/freshness/fill-request.js'
import type { Fill } from '../../src/streamcache/index.js'
import { stateOf } from '../support/pack-observations.js'
import { collect } from '../support/producers.js'
import { openCache } from '../support/stream-cache.js'

async function* bytes(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text)
}

void t.test('what another process has made is looked for once per round, and answers as a hit', async (t) => {
  const { cache } = await openCache(t)
  const fresh = new FreshCache(cache)
  let looks = 0
  let fills = 0
  let found!: (isFound: boolean) => void
  const request = (): FillRequest => ({
    observe: async () => stateOf('s'),
    producer: () => () => {
      fills++
      return bytes('here')
    },
    find: async () => {
      looks++
      return new Promise((resolve) => (found = resolve))
    },
  })
  const reads = [1, 2, 3].map(async () => fresh.read('k', stateOf('s'), request))
  await new Promise((resolve) => setImmediate(resolve))
  // As if the entry of another process was opened.
  await cache.fill(
    'k',
    's',
    () => bytes('there'),
    async () => true,
  ).ended
  found(true)
  const readings = await Promise.all(reads)
  t.strictSame(
    readings.map(({ reuse }) => reuse),
    ['hit', 'hit', 'hit'],
  )
  for (const { follower } of readings) t.equal(String(await collect(follower)), 'there')
  t.strictSame({ looks, fills }, { looks: 1, fills: 0 })
})

void t.test('if nothing is found, all share one fill', async (t) => {
  const { cache } = await openCache(t)
  const fresh = new FreshCache(cache)
  let fills = 0
  const request = (): FillRequest => ({
    observe: async () => stateOf('s'),
    producer: () => () => {
      fills++
      return bytes('here')
    },
    find: async () => {
      await new Promise((resolve) => setImmediate(resolve))
      throw new Error('no engine')
    },
  })
  const readings = await Promise.all([1, 2, 3].map(async () => fresh.read('k', stateOf('s'), request)))
  t.strictSame(
    readings.map(({ reuse }) => reuse),
    ['filled', 'joined', 'joined'],
  )
  for (const { follower } of readings) t.equal(String(await collect(follower)), 'here')
  t.equal(fills, 1)
})

void t.test(
  'a request may refuse to wait, and one of another node begins no round for clients',
  async (t) => {
    const { cache } = await openCache(t)
    const fresh = new FreshCache(cache)
    let release!: () => void
    const gate = new Promise<void>((resolve) => (release = resolve))
    const producedFor: string[] = []
    const ends: Fill['ended'][] = []
    const request =
      (name: string, changes: Partial<FillRequest> = {}) =>
      (): FillRequest => ({
        observe: async () => stateOf('s'),
        producer: () =>
          async function* () {
            producedFor.push(name)
            await gate
            yield Buffer.from(name)
          },
        fillStarted: (_entry, _state, ended) => void ends.push(ended),
        ...changes,
      })
    const first = await fresh.read('k', stateOf('old'), request('first'))
    const refusing = {
      isForPeer: true,
      mayWaitFor: () => {
        throw new PeerRefused('elsewhere')
      },
    }
    await t.rejects(async () => fresh.read('k', stateOf('s'), request('refused', refusing)), PeerRefused)
    const peers = fresh.read('k', stateOf('s'), request('peer', { isForPeer: true }))
    const clients = fresh.read('k', stateOf('s'), request('client'))
    await new Promise((resolve) => setImmediate(resolve))
    release()
    await collect(first.follower)
    for (const reading of [await peers, await clients])
      t.equal(String(await collect(reading.follower)), 'client')
    t.strictSame(producedFor, ['first', 'client'])
    await Promise.all(ends)
  },
)

void t.test('the age of borrowed bytes adds up', async (t) => {
  const { cache } = await openCache(t)
  const fresh = new FreshCache(cache)
  const ages = { now: 5000 }
  let ended: Fill['ended'] | undefined
  const request = (): FillRequest => ({
    observe: async () => stateOf('s', { maxAgeMs: 10_000 }),
    producer: () => () => bytes('x'),
    ageMs: () => ages.now,
    fillStarted: (_entry, _state, end) => void (ended = end),
  })
  const reading = await fresh.read('k', stateOf('s', { maxAgeMs: 10_000 }), request)
  t.ok(fresh.ageMsOf(reading.entry) >= 5000, 'the oldest that is possible while the fill runs')
  ages.now = 4000
  await collect(reading.follower)
  t.equal(await ended, 'committed')
  const age = fresh.ageMsOf(reading.entry)
  t.ok(age >= 4000 && age < 5000, 'what it was once the fill has ended')
  ages.now = 0
  const again = await fresh.read('k', stateOf('s', { maxAgeMs: 3000 }), request)
  again.follower.close()
  t.equal(again.reuse, 'filled', 'too old for a shorter bound')
})
