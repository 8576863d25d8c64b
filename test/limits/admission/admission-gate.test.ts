import t from 'tap'
import { Overloaded } from '../../../src/limits/overloaded.js'
import { AdmissionGate, type AdmissionGateOptions } from '../../../src/limits/admission/admission-gate.js'
import { FakeClock } from '../../support/fake-clock.js'
import { turns } from '../../support/producers.js'

function create(options: Partial<AdmissionGateOptions> = {}) {
  const clock = new FakeClock()
  const loop = { idleMs: 0 }
  let ends: (() => void)[] = []
  const events: string[] = []
  const gate = new AdmissionGate({
    max: 1e6,
    saturatedAfterMs: 500,
    queueMax: 1000,
    waitMs: 15_000,
    clock,
    idleMs: () => loop.idleMs,
    iterationEnd: (call) => ends.push(call),
    random: () => 0,
    events: {
      waited: (ms) => events.push(`waited ${ms}`),
      shed: (reason) => events.push(`shed ${reason}`),
    },
    ...options,
  })
  const granted: { group: string; release: () => void }[] = []
  const errors: unknown[] = []
  const arrive = (group: string, admitted = false, { signal } = new AbortController()): void => {
    const request = {
      signal,
      onAbort: (call: () => void) => signal.addEventListener('abort', call),
      throwIfAborted: () => signal.throwIfAborted(),
    }
    const admit = async (): Promise<void> => {
      granted.push({ group, release: await gate.admit({ group, admitted }, request) })
    }
    admit().catch((error: unknown) => errors.push(error))
  }
  /** Ends a turn of the event loop. */
  const endIteration = async (): Promise<void> => {
    const due = ends
    ends = []
    for (const end of due) end()
    await turns()
  }
  /** Requests arrive and end all the time, and the loop has no pause. */
  const saturate = async (): Promise<void> => {
    for (let tenth = 0; tenth < 5; tenth++) {
      arrive('first')
      await turns()
      granted.pop()?.release()
      clock.advance(100)
    }
  }
  return {
    gate,
    clock,
    loop,
    granted,
    errors,
    events,
    arrive,
    endIteration,
    saturate,
    turnsAsked: () => ends.length,
  }
}

t.test('no more requests than the limit are admitted; each is released once', async (t) => {
  const { gate, granted, errors, events, arrive } = create({ max: 2 })
  for (let count = 0; count < 3; count++) arrive('a')
  await turns()
  t.equal(gate.admitted, 2)
  t.match(errors, [{ reason: 'full', retryAfterSeconds: 1 }])
  t.same(events, ['shed full'])
  granted[0]!.release()
  granted[0]!.release()
  t.equal(gate.admitted, 1)
  arrive('a')
  arrive('a')
  await turns()
  t.equal(gate.admitted, 2)
})

t.test('an admitted client is not shed when the limit is reached', async (t) => {
  const { gate, errors, arrive } = create({ max: 2 })
  for (let count = 0; count < 2; count++) arrive('a')
  for (let count = 0; count < 7; count++) arrive('a', true)
  await turns()
  t.equal(gate.admitted, 8)
  t.match(errors, [{ reason: 'full' }])
})

t.test('a request that ends or is aborted frees its place at once', async (t) => {
  const { gate, granted, errors, arrive } = create()
  const client = new AbortController()
  arrive('a', false, client)
  await turns()
  client.abort(new Error('left'))
  t.equal(gate.admitted, 0)
  granted[0]!.release()
  t.equal(gate.admitted, 0)
  arrive('a', false, client)
  await turns()
  t.same([gate.admitted, errors.length], [0, 1], 'a request that is aborted already is not admitted')
})

t.test('while the loop pauses every request is admitted, however many there are', async (t) => {
  const { gate, clock, loop, arrive, turnsAsked } = create()
  for (let tenth = 0; tenth < 50; tenth++) {
    for (let count = 0; count < 100; count++) arrive('a')
    await turns()
    loop.idleMs += 10
    clock.advance(100)
  }
  t.equal(gate.admitted, 5000)
  t.equal(turnsAsked(), 0)
})

t.test('while the loop is saturated, requests wait until a turn brings no arrival', async (t) => {
  const { gate, clock, granted, events, arrive, endIteration, saturate, turnsAsked } = create()
  await saturate()
  for (let count = 0; count < 100; count++) arrive('a')
  t.same([gate.admitted, gate.waiting, turnsAsked()], [0, 100, 1])
  await endIteration()
  t.equal(gate.admitted, 0, 'that turn brought arrivals')
  clock.advance(7)
  await endIteration()
  t.equal(gate.admitted, 64)
  t.equal(granted.length, 64)
  t.equal(events[0], 'waited 7')
  await endIteration()
  t.same(
    [gate.admitted, gate.waiting, turnsAsked()],
    [100, 0, 0],
    'none is lost; then turns are no longer watched',
  )
})

t.test('while each turn brings arrivals, one request is admitted for three that arrive', async (t) => {
  const { gate, arrive, endIteration, saturate } = create()
  await saturate()
  for (let turn = 0; turn < 640; turn++) {
    arrive(String(turn))
    await endIteration()
  }
  t.same([gate.admitted, gate.waiting], [192, 640 - 192])
  for (let count = 0; count < 192; count++) arrive(String(count))
  await endIteration()
  t.equal(gate.admitted, 256, 'also if they arrive together')
})

t.test('repositories are served round robin, and none takes all places', async (t) => {
  const { gate, granted, errors, arrive, endIteration, saturate } = create({ queueMax: 100 })
  await saturate()
  for (let count = 0; count < 200; count++) arrive('hot')
  arrive('other')
  await turns()
  t.equal(gate.waiting, 51)
  t.ok(errors.every((error) => error instanceof Overloaded && error.reason === 'queue-full'))
  await endIteration()
  await endIteration()
  t.equal(granted[1]?.group, 'other')
})

t.test('admitted clients are queued where others are shed; no request waits forever', async (t) => {
  const { gate, clock, errors, arrive, saturate } = create({ queueMax: 2 })
  await saturate()
  for (let count = 0; count < 4; count++) arrive('a', true)
  for (let count = 0; count < 3; count++) arrive('b')
  await turns()
  t.same([gate.waiting, errors.length], [5, 2])
  clock.advance(15_000)
  t.equal(gate.waiting, 4)
  clock.advance(45_000)
  t.equal(gate.waiting, 0)
})

t.test('a request that is aborted in the queue frees its place at once', async (t) => {
  const { gate, errors, events, arrive, endIteration, saturate } = create({ queueMax: 1 })
  await saturate()
  const client = new AbortController()
  arrive('a', false, client)
  client.abort(new Error('left'))
  t.equal(gate.waiting, 0)
  arrive('a')
  t.equal(gate.waiting, 1)
  for (let turn = 0; turn < 2; turn++) await endIteration()
  t.equal(gate.admitted, 1)
  t.match(errors, [{ message: 'the request was aborted' }])
  t.notOk(events.some((event) => event.startsWith('shed')))
})

t.test('while each turn brings a connection, requests wait for the others, but not for long', async (t) => {
  const { gate, clock, arrive, endIteration, turnsAsked } = create()
  for (let turn = 0; turn < 10; turn++) {
    gate.connectionAccepted()
    arrive('a')
    await endIteration()
    t.equal(gate.admitted, 0)
  }
  await endIteration()
  t.equal(gate.admitted, 10)
  t.equal(turnsAsked(), 0)

  gate.connectionAccepted()
  await endIteration()
  clock.advance(20)
  gate.connectionAccepted()
  arrive('a')
  await endIteration()
  t.equal(gate.admitted, 11, 'connections that arrive without end are not waited for')
  await endIteration()
})
