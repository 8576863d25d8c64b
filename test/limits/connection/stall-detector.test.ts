import t from 'tap'
import fc from 'fast-check'
import { StallDetector, type StallDetectorOptions } from '../../../src/limits/connection/stall-detector.js'
import { FakeClock } from '../../support/fake-clock.js'

const tickMs = 1000

class TestClient {
  bytes = 0
  /** How often the detector has read `taken`. */
  reads = 0
  pending = true
  found: string | undefined
  foundAt = 0
  readonly end: () => void

  constructor(detector: StallDetector, clock: FakeClock) {
    const taken = (): number => {
      this.reads++
      return this.bytes
    }
    this.end = detector.watch({ taken, owed: () => this.pending }, (reason) => {
      if (this.found) throw new Error('detected twice')
      this.found = reason
      this.foundAt = clock.now()
    })
  }
}

function create(options: Partial<StallDetectorOptions> = {}) {
  const clock = new FakeClock()
  const detector = new StallDetector({
    idleMs: 8 * tickMs,
    minRate: 0,
    windowMs: 8 * tickMs,
    clock,
    ...options,
  })
  return { clock, detector, client: () => new TestClient(detector, clock) }
}

t.test('a client that takes none of the bytes owed to it is detected, once', (t) => {
  const { clock, client } = create()
  const idle = client()
  const done = client()
  const busy = client()
  done.pending = false
  for (let tick = 0; tick < 30; tick++) {
    busy.bytes++
    clock.advance(tickMs)
  }
  t.same([idle.found, done.found, busy.found], ['idle', undefined, undefined])
  const clients = [idle, done, busy]
  const reads = clients.map((each) => each.reads)
  clock.advance(tickMs)
  t.same(
    clients.map((each, index) => each.reads - reads[index]!),
    [0, 1, 1],
    'only the others are still watched',
  )
  t.end()
})

t.test('it is detected neither early nor more than two ticks late, whenever it stops', (t) => {
  const time = fc.nat(20 * tickMs)
  fc.assert(
    fc.property(time, time, time, (other, start, stop) => {
      const { clock, client } = create()
      // Another client starts the ticks.
      client().pending = false
      clock.advance(other)
      const slow = client()
      slow.pending = false
      clock.advance(start)
      slow.pending = true
      const began = clock.now()
      for (; clock.now() < began + stop; clock.advance(tickMs / 2)) slow.bytes++
      const stopped = slow.bytes === 0 ? began : clock.now() - tickMs / 2
      clock.advance(20 * tickMs)
      const after = slow.foundAt - stopped
      return slow.found === 'idle' && after >= 8 * tickMs && after <= 10 * tickMs
    }),
    { numRuns: 500 },
  )
  t.pass()
  t.end()
})

t.test('a client that takes too few bytes is detected, unless no more were owed to it', (t) => {
  const { clock, client } = create({ idleMs: 0, minRate: 100 })
  const slow = client()
  const enough = client()
  const starved = client()
  const tired = client()
  for (let tick = 0; tick < 40; tick++) {
    slow.bytes += 99
    enough.bytes += 100
    tired.bytes += tick < 10 ? 10_000 : 1
    starved.bytes += 1
    starved.pending = tick % 6 > 0
    clock.advance(tickMs)
  }
  t.same([slow.found, enough.found, starved.found], ['slow', undefined, undefined])
  t.equal(tired.found, 'slow', 'bytes taken in an earlier window do not count')
  t.end()
})

t.test('while the process itself is suspended no client is detected', (t) => {
  // Each timer fires an hour late.
  const late = new FakeClock()
  const clock = {
    now: () => late.now(),
    after: (ms: number, call: () => void) => late.after(ms + 3_600_000, call),
  }
  const detector = new StallDetector({ idleMs: 8 * tickMs, minRate: 10, windowMs: 8 * tickMs, clock })
  const client = new TestClient(detector, late)
  for (let hour = 0; hour < 40; hour++) {
    late.advance(3_600_000 + tickMs)
    client.bytes += 10
  }
  t.notOk(client.found)
  t.end()
})

t.test('all clients share one timer, which runs only while there are any', (t) => {
  const { clock, client } = create({ minRate: 1 })
  t.equal(clock.timers, 0)
  const clients = Array.from({ length: 10_000 }, client)
  t.equal(clock.timers, 1)
  for (const { end } of clients) end()
  t.equal(clock.timers, 0)
  clock.advance(20 * tickMs)
  t.ok(
    clients.every(({ reads, found }) => reads === 1 && !found),
    'none is watched any more',
  )
  client()
  clock.advance(20 * tickMs)
  t.equal(clock.timers, 0, 'the last client was detected')
  t.end()
})

t.test('without limits no timer runs', (t) => {
  const { clock, client } = create({ idleMs: 0 })
  client()
  t.equal(clock.timers, 0)
  t.end()
})

t.test('a callback may stop watching other clients', (t) => {
  const { clock, detector } = create()
  const found: string[] = []
  const stuck = { taken: () => 0, owed: () => true }
  const ends = ['a', 'b'].map((name) =>
    detector.watch(stuck, () => {
      found.push(name)
      for (const end of ends) end()
    }),
  )
  clock.advance(20 * tickMs)
  t.same(found, ['a'])
  t.equal(clock.timers, 0)
  t.end()
})
