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
    busyMs: 500,
    queueMax: 1000,
    waitMs: 15_000,
    clock,
    idleMs: () => loop.idleMs,
    turnEnd: (call) => ends.push(call),
    random: () => 0,
    events: {
      waited: (ms) => events.push(`waited ${ms}`),
      shed: (reason) => events.push(`shed ${reason}`),
    },
    ...options,
  })
  const entered: { group: string; leave: () => void }[] = []
  const errors: unknown[] = []
  const come = (group: string, admitted = false, { signal } = new AbortController()): void => {
    const request = {
      signal,
      onAbort: (call: () => void) => signal.addEventListener('abort', call),
      throwIfAborted: () => signal.throwIfAborted(),
    }
    const enter = async (): Promise<void> => {
      entered.push({ group, leave: await gate.enter({ group, admitted }, request) })
    }
    enter().catch((error: unknown) => errors.push(error))
  }
  /** The loop comes to the end of a turn. */
  const endTurn = async (): Promise<void> => {
    const due = ends
    ends = []
    for (const end of due) end()
    await turns()
  }
  /** Somebody comes and goes all the time, and the loop has no pause. */
  const makeBusy = async (): Promise<void> => {
    for (let tenth = 0; tenth < 5; tenth++) {
      come('first')
      await turns()
      entered.pop()?.leave()
      clock.advance(100)
    }
  }
  return {
    gate,
    clock,
    loop,
    entered,
    errors,
    events,
    come,
    endTurn,
    makeBusy,
    turnsAsked: () => ends.length,
  }
}

t.test('so many and no more; each leaves once', async (t) => {
  const { gate, entered, errors, events, come } = create({ max: 2 })
  for (let count = 0; count < 3; count++) come('a')
  await turns()
  t.equal(gate.admitted, 2)
  t.match(errors, [{ reason: 'full', retryAfterSeconds: 1 }])
  t.same(events, ['shed full'])
  entered[0]!.leave()
  entered[0]!.leave()
  t.equal(gate.admitted, 1)
  come('a')
  come('a')
  await turns()
  t.equal(gate.admitted, 2)
})

t.test('who was let in before is not sent away when it is full', async (t) => {
  const { gate, errors, come } = create({ max: 2 })
  for (let count = 0; count < 2; count++) come('a')
  for (let count = 0; count < 7; count++) come('a', true)
  await turns()
  t.equal(gate.admitted, 8)
  t.match(errors, [{ reason: 'full' }])
})

t.test('who leaves frees the place at once, by signal too', async (t) => {
  const { gate, entered, errors, come } = create()
  const client = new AbortController()
  come('a', false, client)
  await turns()
  client.abort(new Error('left'))
  t.equal(gate.admitted, 0)
  entered[0]!.leave()
  t.equal(gate.admitted, 0)
  come('a', false, client)
  await turns()
  t.same([gate.admitted, errors.length], [0, 1], 'who has left before does not come in')
})

t.test('a loop that pauses lets everybody in, however many are inside', async (t) => {
  const { gate, clock, loop, come, turnsAsked } = create()
  for (let tenth = 0; tenth < 50; tenth++) {
    for (let count = 0; count < 100; count++) come('a')
    await turns()
    loop.idleMs += 10
    clock.advance(100)
  }
  t.equal(gate.admitted, 5000)
  t.equal(turnsAsked(), 0)
})

t.test('while the loop is busy, newcomers wait until a turn brings none', async (t) => {
  const { gate, clock, entered, events, come, endTurn, makeBusy, turnsAsked } = create()
  await makeBusy()
  for (let count = 0; count < 100; count++) come('a')
  t.same([gate.admitted, gate.waiting, turnsAsked()], [0, 100, 1])
  await endTurn()
  t.equal(gate.admitted, 0, 'that turn brought them')
  clock.advance(7)
  await endTurn()
  t.equal(gate.admitted, 64)
  t.equal(entered.length, 64)
  t.equal(events[0], 'waited 7')
  await endTurn()
  t.same(
    [gate.admitted, gate.waiting, turnsAsked()],
    [100, 0, 0],
    'nobody is lost; then no turn is asked for',
  )
})

t.test('while each turn brings newcomers, one is let in for three that come', async (t) => {
  const { gate, come, endTurn, makeBusy } = create()
  await makeBusy()
  for (let turn = 0; turn < 640; turn++) {
    come(String(turn))
    await endTurn()
  }
  t.same([gate.admitted, gate.waiting], [192, 640 - 192])
  for (let count = 0; count < 192; count++) come(String(count))
  await endTurn()
  t.equal(gate.admitted, 256, 'also if they come together')
})

t.test('repositories take turns, and none takes all places', async (t) => {
  const { gate, entered, errors, come, endTurn, makeBusy } = create({ queueMax: 100 })
  await makeBusy()
  for (let count = 0; count < 200; count++) come('hot')
  come('other')
  await turns()
  t.equal(gate.waiting, 51)
  t.ok(errors.every((error) => error instanceof Overloaded && error.reason === 'queue-full'))
  await endTurn()
  await endTurn()
  t.equal(entered[1]?.group, 'other')
})

t.test('the admitted are queued where others are shed; nobody waits for ever', async (t) => {
  const { gate, clock, errors, come, makeBusy } = create({ queueMax: 2 })
  await makeBusy()
  for (let count = 0; count < 4; count++) come('a', true)
  for (let count = 0; count < 3; count++) come('b')
  await turns()
  t.same([gate.waiting, errors.length], [5, 2])
  clock.advance(15_000)
  t.equal(gate.waiting, 4)
  clock.advance(45_000)
  t.equal(gate.waiting, 0)
})

t.test('a client that leaves the line frees its place at once', async (t) => {
  const { gate, errors, events, come, endTurn, makeBusy } = create({ queueMax: 1 })
  await makeBusy()
  const client = new AbortController()
  come('a', false, client)
  client.abort(new Error('left'))
  t.equal(gate.waiting, 0)
  come('a')
  t.equal(gate.waiting, 1)
  for (let turn = 0; turn < 2; turn++) await endTurn()
  t.equal(gate.admitted, 1)
  t.match(errors, [{ message: 'left' }])
  t.notOk(events.some((event) => event.startsWith('shed')))
})

t.test('while each turn brings a connection, requests wait for the others, and not for long', async (t) => {
  const { gate, clock, come, endTurn, turnsAsked } = create()
  for (let turn = 0; turn < 10; turn++) {
    gate.connectionAccepted()
    come('a')
    await endTurn()
    t.equal(gate.admitted, 0)
  }
  await endTurn()
  t.equal(gate.admitted, 10)
  t.equal(turnsAsked(), 0)

  gate.connectionAccepted()
  await endTurn()
  clock.advance(20)
  gate.connectionAccepted()
  come('a')
  await endTurn()
  t.equal(gate.admitted, 11, 'more may come for ever')
  await endTurn()
})
