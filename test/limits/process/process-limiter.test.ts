import t from 'tap'
import { Overloaded } from '../../../src/limits/overloaded.js'
import {
  processClasses,
  ProcessLimiter,
  type Permit,
  type PermitRequest,
  type ProcessClass,
  type ProcessLimiterOptions,
} from '../../../src/limits/process/process-limiter.js'
import { FakeClock } from '../../support/fake-clock.js'
import { turns } from '../../support/producers.js'

const ample = { perGroup: 100, queueMax: 100, waitMs: 1000 }

function create(options: Partial<ProcessLimiterOptions> = {}) {
  const clock = new FakeClock()
  const events: string[] = []
  const limiter = new ProcessLimiter({
    limit: 8,
    fill: ample,
    pack: { ...ample, most: 100 },
    pass: ample,
    clock,
    random: () => 0,
    events: {
      granted: (processClass, waitedMs) => events.push(`granted ${processClass} ${waitedMs}`),
      shed: (processClass, reason) => events.push(`shed ${processClass} ${reason}`),
      aborted: (processClass) => events.push(`left ${processClass}`),
    },
    ...options,
  })
  const got: { group: string; permit: Permit }[] = []
  const errors: unknown[] = []
  const ask = (processClass: ProcessClass, group: string, rest: Partial<PermitRequest> = {}): void => {
    limiter.acquire({ class: processClass, group, ...rest }).then(
      (permit) => got.push({ group, permit }),
      (error: unknown) => errors.push(error),
    )
  }
  return { limiter, clock, events, got, errors, ask }
}

t.test('no class waits for another: permits are reserved for each', async (t) => {
  const { limiter, got, ask } = create()
  for (let count = 0; count < 20; count++) ask('pass', 'a')
  t.equal(limiter.running('pass'), 4, 'a quarter is reserved for fills, and one for packs')
  for (const group of ['a', 'b', 'c']) ask('pack', group)
  for (const group of ['a', 'b', 'c']) ask('fill', group)
  t.same([limiter.running('fill'), limiter.running('pack'), limiter.running()], [2, 2, 8])
  await turns()
  got[0]!.permit.release()
  t.same([limiter.running('fill'), limiter.running('pack')], [3, 2], 'fills are served first')
  got[1]!.permit.release()
  t.same([limiter.running('fill'), limiter.running('pack')], [3, 3], 'then packs')
  got[2]!.permit.release()
  t.equal(limiter.running('pass'), 2, 'and what is reserved for pass-through stays')

  for (const [hot, other, third] of [
    ['fill', 'pack', 'pass'],
    ['pack', 'pass', 'fill'],
  ] as const) {
    const { limiter, ask } = create()
    for (const each of [hot, other, third]) for (let count = 0; count < 20; count++) ask(each, 'a')
    t.same(
      [hot, other, third].map((each) => limiter.running(each)),
      [4, 2, 2],
    )
  }
})

t.test('packs have a maximum of their own; pass-through has what they leave of a half', (t) => {
  const { limiter, ask } = create({ limit: 16, pack: { ...ample, most: 2 } })
  for (let count = 0; count < 20; count++) ask('pack', String(count))
  t.equal(limiter.running('pack'), 2)
  t.notOk(limiter.scarce, 'a greater limit would not help')
  for (let count = 0; count < 20; count++) ask('fill', 'a')
  t.equal(limiter.running('fill'), 8)
  t.ok(limiter.scarce)
  for (let count = 0; count < 20; count++) ask('pass', 'a')
  t.equal(limiter.running('pass'), 6)

  const wide = create({ limit: 3 })
  for (let count = 0; count < 2; count++) wide.ask('pack', 'a')
  t.equal(wide.limiter.running('pack'), 1)
  t.ok(wide.limiter.scarce)
  t.end()
})

t.test('a maximum of 0 packs leaves no permit reserved for them', (t) => {
  for (const [hot, other, most] of [
    ['pass', 'fill', 6],
    ['fill', 'pass', 4],
  ] as const) {
    const { limiter, ask } = create({ pack: { ...ample, most: 0 } })
    for (const each of [hot, other]) for (let count = 0; count < 20; count++) ask(each, 'a')
    t.same([limiter.running(hot), limiter.running(other)], [most, 8 - most])
  }
  t.end()
})

t.test('three permits are enough for all classes', (t) => {
  const { limiter, ask } = create({ limit: 3 })
  for (const each of processClasses) for (let count = 0; count < 2; count++) ask(each, 'a')
  t.same(
    processClasses.map((each) => limiter.running(each)),
    [1, 1, 1],
  )
  t.throws(() => create({ limit: 2 }), RangeError)
  t.throws(() => (limiter.limit = 2), RangeError)
  t.throws(() => (limiter.limit = 3.5), RangeError)
  t.end()
})

t.test('a hot group delays others by one request, not by all its waiters', async (t) => {
  const { got, ask } = create({ limit: 3 })
  for (let count = 0; count < 40; count++) ask('pass', 'hot')
  ask('pass', 'other')
  ask('pass', 'third')
  await turns()
  for (let count = 0; count < 5; count++) {
    got.at(-1)!.permit.release()
    await turns()
  }
  t.same(
    got.map(({ group }) => group),
    ['hot', 'hot', 'other', 'third', 'hot', 'hot'],
  )
})

t.test('a group at its own limit does not hold up others', async (t) => {
  const { limiter, got, ask } = create({ pass: { ...ample, perGroup: 2 } })
  for (let count = 0; count < 5; count++) ask('pass', 'hot')
  t.equal(limiter.running('pass'), 2)
  t.notOk(limiter.scarce, 'a greater limit would not help')
  ask('pass', 'other')
  await turns()
  t.same(
    got.map(({ group }) => group),
    ['hot', 'hot', 'other'],
  )
})

t.test('one group cannot take all places in the queue', async (t) => {
  const { limiter, events, errors, ask } = create({ limit: 3, pass: { ...ample, queueMax: 10 } })
  for (let count = 0; count < 50; count++) ask('pass', 'hot')
  t.equal(limiter.waiting('pass'), 5)
  for (const group of ['a', 'b', 'c', 'd', 'e']) ask('pass', group)
  t.equal(limiter.waiting('pass'), 10, 'a place for each new group')
  ask('pass', 'f')
  await turns()
  t.equal(events.filter((event) => event === 'shed pass queue-full').length, 45)
  t.ok(errors.every((error) => error instanceof Overloaded))
})

t.test('admitted clients are queued where others are shed, and wait longer', async (t) => {
  const { limiter, clock, events, ask } = create({ limit: 3, pass: { ...ample, queueMax: 2 } })
  for (const group of ['a', 'b', 'c', 'd']) ask('pass', group)
  t.ok(limiter.rejection({ class: 'pass', group: 'e' }))
  t.notOk(limiter.rejection({ class: 'pass', group: 'e', admitted: true }))
  for (let group = 0; group < 20; group++) ask('pass', String(group), { admitted: true })
  t.equal(limiter.waiting('pass'), 2 + 8, 'four times as many, and no more')
  await turns()
  clock.advance(1000)
  t.equal(limiter.waiting('pass'), 8)
  clock.advance(2999)
  t.equal(limiter.waiting('pass'), 8)
  clock.advance(1)
  t.equal(limiter.waiting('pass'), 0)
  await turns()
  t.equal(events.filter((event) => event === 'shed pass wait').length, 10)
})

t.test('packs of admitted clients wait without a place and without a time limit', async (t) => {
  const { limiter, clock, events, got, errors, ask } = create({
    limit: 3,
    pack: { ...ample, queueMax: 2, most: 1 },
  })
  for (const group of ['a', 'b', 'c', 'd']) ask('pack', group)
  t.equal(limiter.waiting('pack'), 2, 'others are shed')
  const full = (): boolean =>
    limiter.rejection({ class: 'pack', group: 'new', admitted: true })?.reason === 'queue-full'
  const controllers = Array.from({ length: 30 }, () => new AbortController())
  for (const [count, { signal }] of controllers.entries()) {
    t.equal(full(), count >= 8, 'rejection() tells that the queue is long')
    ask('pack', count % 3 ? 'hot' : String(count), { admitted: true, signal })
  }
  t.equal(limiter.waiting('pack'), 32)
  await turns()
  clock.advance(1000)
  await turns()
  t.same(
    events.filter((event) => event.startsWith('shed')),
    ['shed pack queue-full', 'shed pack wait', 'shed pack wait'],
  )
  t.equal(clock.timers, 0)
  clock.advance(1e9)
  t.equal(limiter.waiting('pack'), 30)
  for (let count = 0; count < 4; count++) {
    got.at(-1)!.permit.release()
    await turns()
  }
  t.same(
    got.map(({ group }) => group),
    ['a', '0', 'hot', '3', '6'],
    'round robin',
  )
  for (const controller of controllers) controller.abort(new Error('gone'))
  await turns()
  t.same([limiter.waiting('pack'), errors.length], [0, 3 + 26])
})

t.test('a request that is aborted frees its place at once, and is not granted later', async (t) => {
  const { limiter, got, errors, ask } = create({ limit: 3, pass: { ...ample, queueMax: 1 } })
  const controller = new AbortController()
  ask('pass', 'a')
  ask('pass', 'b', { signal: controller.signal })
  t.ok(limiter.rejection({ class: 'pass', group: 'c' }))
  controller.abort(new Error('gone'))
  t.notOk(limiter.rejection({ class: 'pass', group: 'c' }))
  ask('pass', 'd', { signal: controller.signal })
  ask('pass', 'c')
  await turns()
  got[0]!.permit.release()
  await turns()
  t.same(
    got.map(({ group }) => group),
    ['a', 'c'],
  )
  t.same(
    errors.map((error) => (error as Error).message),
    ['gone', 'gone'],
  )
})

t.test('a greater limit grants permits to waiters; a smaller one takes none back', async (t) => {
  const { limiter, got, ask } = create({ limit: 3 })
  for (let count = 0; count < 8; count++) ask('pass', 'a')
  t.ok(limiter.scarce)
  limiter.limit = 8
  t.equal(limiter.running('pass'), 4)
  limiter.limit = 4
  await turns()
  for (let count = 0; count < 4; count++) ask('fill', 'a')
  t.equal(limiter.running('fill'), 1, 'the permits reserved for fills are there, whatever still runs')
  for (const { permit } of got.slice(0, 4)) permit.release()
  t.same([limiter.running('pass'), limiter.waiting('pass')], [1, 3], 'no more than the new limit allows')
  t.equal(limiter.running('fill'), 2)
})

t.test('Retry-After is the time in which the queue will be served', async (t) => {
  const { limiter, clock, got, errors, ask } = create({
    limit: 3,
    pass: { ...ample, queueMax: 10, waitMs: 1e6 },
  })
  for (let count = 0; count < 5; count++) ask('pass', 'a')
  for (let count = 0; count < 4; count++) {
    await turns()
    clock.advance(1000)
    ask('pass', 'a')
    clock.advance(1000)
    got.at(-1)!.permit.release()
  }
  for (let count = 0; count < 10; count++) ask('pass', 'a')
  await turns()
  t.equal(limiter.waiting('pass'), 5)
  t.equal((errors[0] as Overloaded).retryAfterSeconds, 12, 'six intervals of two seconds')
  for (let count = 0; count < 6; count++) {
    clock.advance(2000)
    got.at(-1)!.permit.release()
    await turns()
  }
  t.equal(limiter.waiting('pass'), 0)
  clock.advance(1e9)
  for (let count = 0; count < 7; count++) ask('pass', 'a')
  await turns()
  t.equal((errors.at(-1) as Overloaded).retryAfterSeconds, 12, 'quiet hours do not count')
})

t.test('a pack whose client sets the pace counts as pass-through, within its limits', async (t) => {
  const { limiter, got, ask } = create({ pack: { ...ample, most: 1 }, pass: { ...ample, perGroup: 1 } })
  const becomePass = async (index: number): Promise<boolean> => {
    await turns()
    return got[index]!.permit.becomePass()
  }
  const counts = (): number[] => [limiter.running('pack'), limiter.running('pass'), limiter.waiting('pack')]
  for (const group of ['a', 'b', 'a']) ask('pack', group)
  t.same(counts(), [1, 0, 2])
  t.equal(await becomePass(0), true)
  t.equal(await becomePass(0), true, 'once')
  t.same(counts(), [1, 1, 1])
  t.equal(await becomePass(1), true)
  t.equal(await becomePass(2), false, 'one of each group')
  t.same(counts(), [1, 2, 0])
  for (const { permit } of got) {
    permit.release()
    permit.release()
    t.equal(permit.becomePass(), false, 'what was returned counts as nothing')
  }
  t.same(counts(), [0, 0, 0])
})

t.test('a pack does not become pass-through where all of that is in use', async (t) => {
  const { limiter, got, ask } = create({ limit: 4 })
  ask('pack', 'p')
  for (let count = 0; count < 9; count++) ask('pass', 'a')
  await turns()
  const running = limiter.running()
  t.equal(got[0]!.permit.becomePass(), false)
  t.equal(limiter.running(), running)
  got[1]!.permit.release()
  t.equal(got[0]!.permit.becomePass(), false, 'the next that waits has it already')
})
