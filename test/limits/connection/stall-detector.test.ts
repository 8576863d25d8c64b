import t from 'tap'
import fc from 'fast-check'
import { StallDetector, type StallDetectorOptions } from '../../../src/limits/connection/stall-detector.js'
import { FakeClock } from '../../support/fake-clock.js'

const tickMs = 1000

class TestClient {
  bytes = 0
  pending = true
  found: string | undefined
  foundAt = 0
  readonly end: () => void

  constructor(watch: StallDetector, clock: FakeClock) {
    this.end = watch.watch({ taken: () => this.bytes, owed: () => this.pending }, (reason) => {
      if (this.found) throw new Error('found twice')
      this.found = reason
      this.foundAt = clock.now()
    })
  }
}

function create(options: Partial<StallDetectorOptions> = {}) {
  const clock = new FakeClock()
  const watch = new StallDetector({ idleMs: 8 * tickMs, minRate: 0, windowMs: 8 * tickMs, clock, ...options })
  return { clock, watch, client: () => new TestClient(watch, clock) }
}

t.test('who takes nothing of what is there is found, once', (t) => {
  const { clock, watch, client } = create()
  const idle = client()
  const done = client()
  const busy = client()
  done.pending = false
  for (let tick = 0; tick < 30; tick++) {
    busy.bytes++
    clock.advance(tickMs)
  }
  t.same([idle.found, done.found, busy.found], ['idle', undefined, undefined])
  t.equal(watch.watching, 2)
  t.end()
})

t.test('it is found neither early nor much later, whenever it stops', (t) => {
  const time = fc.nat(20 * tickMs)
  fc.assert(
    fc.property(time, time, time, (other, start, stop) => {
      const { clock, client } = create()
      // Another one sets the time of the ticks.
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

t.test('who takes too little is found, unless there was nothing more to take', (t) => {
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
  t.equal(tired.found, 'slow', 'what it took before does not help')
  t.end()
})

t.test('a program that was held up blames nobody', (t) => {
  // A timer that comes late by an hour, each time.
  const late = new FakeClock()
  const clock = {
    now: () => late.now(),
    after: (ms: number, call: () => void) => late.after(ms + 3_600_000, call),
  }
  const watch = new StallDetector({ idleMs: 8 * tickMs, minRate: 10, windowMs: 8 * tickMs, clock })
  const client = new TestClient(watch, late)
  for (let hour = 0; hour < 40; hour++) {
    late.advance(3_600_000 + tickMs)
    client.bytes += 10
  }
  t.notOk(client.found)
  t.end()
})

t.test('one timer for all, and none for nobody', (t) => {
  const { clock, watch, client } = create({ minRate: 1 })
  t.equal(clock.timers, 0)
  const clients = Array.from({ length: 10_000 }, client)
  t.equal(clock.timers, 1)
  for (const { end } of clients) end()
  t.equal(clock.timers, 0)
  t.equal(watch.watching, 0)
  client()
  clock.advance(20 * tickMs)
  t.equal(clock.timers, 0, 'the last one was found')
  t.end()
})

t.test('with neither limit nobody is asked anything', (t) => {
  const { clock, client } = create({ idleMs: 0 })
  client()
  t.equal(clock.timers, 0)
  t.end()
})

t.test('a client may be ended by what is done about another', (t) => {
  const { clock, watch } = create()
  const found: string[] = []
  const stuck = { taken: () => 0, owed: () => true }
  const ends = ['a', 'b'].map((name) =>
    watch.watch(stuck, () => {
      found.push(name)
      for (const end of ends) end()
    }),
  )
  clock.advance(20 * tickMs)
  t.same(found, ['a'])
  t.equal(clock.timers, 0)
  t.end()
})
