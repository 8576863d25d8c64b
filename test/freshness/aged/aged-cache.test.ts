import t from 'tap'
import { comparedMax } from '../../../src/freshness/aged/changed-answer.js'
import { AgedCache } from '../../../src/freshness/aged/aged-cache.js'
import type { AgedReading } from '../../../src/freshness/aged/aged-request.js'
import { FillError } from '../../../src/streamcache/index.js'
import { answered, bodyOf, fill, openAged, Refused, textOf } from '../../support/aged-rig.js'
import { eventually } from '../../support/eventually.js'
import { bytesOf, collect, ManualProducer, turns } from '../../support/producers.js'
import { put } from '../../support/stream-cache.js'

const second = 1000
const mib = 1024 * 1024
const away = new Error('the upstream is away')

t.test(
  'exact requests that arrive together share one question; later ones gather for the next',
  async (t) => {
    const rig = await openAged(t)
    const first = [rig.aged.read(rig.request()), rig.aged.read(rig.request())]
    const asked = await rig.question(1)
    rig.clock.advance(1)
    const second = [1, 2, 3].map(() => rig.aged.read(rig.request()))
    await turns()
    t.equal(rig.asked.length, 1, 'one question runs')
    asked.answer(bodyOf('one'))
    t.same(await Promise.all(first.map(textOf)), ['one', 'one'])
    const next = await rig.question(2)
    next.answer(bodyOf('two'))
    t.same(await Promise.all(second.map(textOf)), ['two', 'two', 'two'])
    const reuses = (await Promise.all([...first, ...second])).map(({ reuse }) => reuse)
    t.same(reuses, ['filled', 'joined', 'gathered', 'gathered', 'gathered'])
    t.equal(rig.asked.length, 2)
  },
)

t.test('the next question begins when the answer of the running one has ended, and hurries it', async (t) => {
  const rig = await openAged(t, { maxLeadBytes: mib })
  const body = new ManualProducer().push(bytesOf(1, 0, 5 * mib))
  const slow = rig.aged.read(rig.request())
  const signal = new AbortController().signal
  ;(await rig.question(1)).answer(body.run(signal))
  const { follower } = await slow
  rig.clock.advance(1)
  const gathered = rig.aged.read(rig.request())
  body.push(bytesOf(1, 5 * mib, 5 * mib)).push(bytesOf(1, 10 * mib, 5 * mib))
  // Without the hurry it would stop one MiB ahead of its follower, which reads nothing.
  await eventually('all bytes are taken', () => body.taken === 15 * mib)
  t.equal(rig.asked.length, 1)
  body.end()
  ;(await rig.question(2)).answer('unchanged')
  const { reuse, entry } = await gathered
  t.equal(reuse, 'revalidated')
  t.equal(entry, (await slow).entry)
  follower.close()
  ;(await gathered).follower.close()
})

t.test('in bounded mode an entry answers without a promise until its age has passed', async (t) => {
  const rig = await openAged(t)
  const entry = await fill(rig, 'one', { maxAgeMs: 60 * second })
  rig.clock.advance(60 * second)
  const hit = rig.aged.read(rig.request({ maxAgeMs: 60 * second }))
  if (hit instanceof Promise) return t.fail('a promise')
  t.match(hit, { reuse: 'hit', ageMs: 60 * second, isStale: false })
  t.equal(hit.entry, entry)
  t.equal(await textOf(hit), 'one')
  t.equal(rig.asked.length, 1)
  rig.clock.advance(1)
  const late = rig.aged.read(rig.request({ maxAgeMs: 60 * second }))
  ;(await rig.question(2)).answer('unchanged')
  t.match(await late, { reuse: 'revalidated', ageMs: 0 })
  ;(await late).follower.close()
})

t.test('the age begins when the question begins, not when its answer comes', async (t) => {
  const rig = await openAged(t)
  const reading = rig.aged.read(rig.request({ maxAgeMs: 60 * second }))
  const asked = await rig.question(1)
  rig.clock.advance(50 * second)
  const joined = rig.aged.read(rig.request({ maxAgeMs: 60 * second }))
  asked.answer(bodyOf('one'))
  t.match(await joined, { reuse: 'joined', ageMs: 50 * second })
  t.same(await Promise.all([textOf(reading), textOf(joined)]), ['one', 'one'])
  await rig.fills[0]!.ended
  await turns()
  rig.clock.advance(11 * second)
  const late = rig.aged.read(rig.request({ maxAgeMs: 60 * second }))
  ;(await rig.question(2)).answer(bodyOf('two'))
  t.equal(await textOf(late), 'two')
})

t.test('an equal answer keeps the entry, a different one replaces it', async (t) => {
  const rig = await openAged(t)
  const entry = await fill(rig, 'same')
  const read = async (...body: string[]): Promise<{ reuse: string; isKept: boolean }> => {
    rig.clock.advance(1)
    const reading = rig.aged.read(rig.request())
    const asked = await rig.question(rig.asked.length + 1)
    t.equal(asked.kept?.key, 'k')
    asked.answer(bodyOf(...body))
    const { reuse, entry: found } = await reading
    t.equal(await textOf(reading), body.join(''))
    return { reuse, isKept: found === entry }
  }
  t.same(await read('sa', '', 'me'), { reuse: 'revalidated', isKept: true })
  t.same(await read('other'), { reuse: 'filled', isKept: false })
  await rig.fills[1]!.ended
  await turns()
  t.equal(rig.cache.get('k'), rig.fills[1]!.entry)
})

t.test(
  'an equal answer that is too long to be compared first is streamed, and the entry stays',
  async (t) => {
    const rig = await openAged(t)
    const large = bytesOf(1, 0, comparedMax + mib)
    const first = rig.aged.read(rig.request({ maxAgeMs: second }))
    ;(await rig.question(1)).answer(bodyOf(large))
    t.ok((await collect((await first).follower)).equals(large))
    await rig.fills[0]!.ended
    await turns()
    rig.clock.advance(5 * second)
    const again = rig.aged.read(rig.request({ maxAgeMs: second }))
    ;(await rig.question(2)).answer(bodyOf(large))
    const { reuse, entry, follower } = await again
    t.equal(reuse, 'filled')
    t.not(entry, (await first).entry)
    t.ok((await collect(follower)).equals(large))
    t.equal(await rig.fills[1]!.ended, 'unshared')
    await turns()
    const hit = rig.aged.read(rig.request({ maxAgeMs: second }))
    t.match(hit, { reuse: 'hit', ageMs: 0 })
    t.equal((await hit).entry, (await first).entry)
    ;(await hit).follower.close()
  },
)

t.test('what an earlier process made answers once it was confirmed', async (t) => {
  const rig = await openAged(t)
  const { entry } = await put(rig.cache, 'k', 'token', 'old')
  const reading = rig.aged.read(rig.request({ maxAgeMs: Infinity, staleMs: Infinity }))
  const asked = await rig.question(1)
  t.equal(asked.kept, entry)
  asked.answer('unchanged')
  t.equal((await reading).entry, entry)
  t.equal(await textOf(reading), 'old')
  const hit = rig.aged.read(rig.request({ maxAgeMs: Infinity }))
  await answered(t, hit, { reuse: 'hit' })
})

t.test('an invalidation ends the age of an entry, and of what is being asked', async (t) => {
  const rig = await openAged(t)
  const bounded = { maxAgeMs: 60 * second }
  await fill(rig, 'one', bounded)
  rig.leases.invalidate('/r')
  const before = rig.aged.read(rig.request(bounded))
  const asked = await rig.question(2)
  rig.leases.invalidate('/r')
  const after = rig.aged.read(rig.request(bounded))
  asked.answer(bodyOf('two'))
  t.equal(await textOf(before), 'two')
  ;(await rig.question(3)).answer(bodyOf('three'))
  t.equal(await textOf(after), 'three')
  await rig.fills[2]!.ended
  await turns()
  await answered(t, rig.aged.read(rig.request(bounded)), { reuse: 'hit' })
})

t.test('while a lease is open every request is exact', async (t) => {
  const rig = await openAged(t)
  const bounded = { maxAgeMs: 60 * second }
  await fill(rig, 'one', bounded)
  const lease = rig.leases.open('/r', 60 * second)
  rig.clock.advance(1)
  const during = rig.aged.read(rig.request(bounded))
  ;(await rig.question(2)).answer('unchanged')
  t.equal((await during).reuse, 'revalidated')
  await textOf(during)
  rig.leases.end(lease.id, 'unchanged')
  await answered(t, rig.aged.read(rig.request(bounded)), { reuse: 'hit' })
})

t.test('an error of the question is shared by all that wait for it, and by no others', async (t) => {
  const rig = await openAged(t)
  const both = [rig.aged.read(rig.request()), rig.aged.read(rig.request())]
  const asked = await rig.question(1)
  rig.clock.advance(1)
  const later = rig.aged.read(rig.request())
  asked.fail(away)
  for (const result of await Promise.allSettled(both.map(async (reading) => reading)))
    t.same(result, { status: 'rejected', reason: away })
  ;(await rig.question(2)).answer(bodyOf('one'))
  t.equal(await textOf(later), 'one')
})

t.test(
  'a request that comes as soon as a question has failed is asked for, and does not wait for it',
  async (t) => {
    const rig = await openAged(t)
    const read = async (): Promise<AgedReading> => rig.aged.read(rig.request({ maxAgeMs: 60 * second }))
    const again = read().catch(read)
    ;(await rig.question(1)).fail(away)
    ;(await rig.question(2)).answer(bodyOf('one'))
    t.equal(await textOf(again), 'one')
  },
)

t.test(
  'an answer that breaks before its first byte, or while it is compared, is an error of the question',
  async (t) => {
    const rig = await openAged(t)
    const broken = async function* (...chunks: string[]): AsyncGenerator<Buffer> {
      yield* bodyOf(...chunks)
      throw away
    }
    const first = rig.aged.read(rig.request())
    ;(await rig.question(1)).answer(broken())
    await t.rejects(Promise.resolve(first), away)
    await fill(rig, 'one')
    rig.clock.advance(1)
    const compared = rig.aged.read(rig.request({ staleMs: second }))
    ;(await rig.question(3)).answer(broken('on'))
    t.match(await compared, { reuse: 'hit', isStale: true })
    t.equal(await textOf(compared), 'one')
    t.equal(rig.fills.length, 1)
  },
)

t.test(
  'an answer that breaks later fails its followers, is not asked for again, and keeps the entry',
  async (t) => {
    const rig = await openAged(t, { fillRetries: 3 })
    const entry = await fill(rig, 'one')
    rig.clock.advance(1)
    const body = new ManualProducer().push(bytesOf(1, 0, comparedMax + mib))
    const reading = rig.aged.read(rig.request())
    ;(await rig.question(2)).answer(body.run(new AbortController().signal))
    const { follower } = await reading
    body.fail(away)
    const error = await collect(follower).catch((error: unknown) => error)
    t.type(error, FillError)
    t.equal((error as FillError).cause, away)
    await rig.fills[1]!.ended
    t.equal(rig.asked.length, 2)
    t.equal(rig.cache.get('k'), entry)
  },
)

t.test('the kept entry answers while the upstream is away, within its time', async (t) => {
  const rig = await openAged(t)
  const stale = { maxAgeMs: 10 * second, staleMs: 20 * second }
  await fill(rig, 'one', stale)
  rig.clock.advance(20 * second)
  rig.leases.invalidate('/r')
  const within = rig.aged.read(rig.request(stale))
  const without = rig.aged.read(rig.request({ maxAgeMs: 10 * second }))
  ;(await rig.question(2)).fail(away)
  t.match(await within, { reuse: 'hit', isStale: true, ageMs: 20 * second })
  t.equal(await textOf(within), 'one')
  await t.rejects(Promise.resolve(without), away)
  t.same(
    rig.calls.filter((call) => call.startsWith('stale')),
    ['stale k'],
  )
  rig.clock.advance(11 * second)
  const tooLate = rig.aged.read(rig.request(stale))
  ;(await rig.question(3)).fail(away)
  await t.rejects(Promise.resolve(tooLate), away)
  t.ok(rig.cache.get('k'), 'it is still kept')
})

t.test('a refusal forgets what is kept, and is no reason for a stale answer', async (t) => {
  const rig = await openAged(t)
  await fill(rig, 'one')
  rig.clock.advance(1)
  const reading = rig.aged.read(rig.request({ staleMs: 60 * second }))
  const refused = new Refused('404')
  ;(await rig.question(2)).fail(refused)
  await t.rejects(Promise.resolve(reading), refused)
  t.equal(rig.cache.get('k'), undefined)
})

t.test('what is forgotten while it is asked for answers those that wait, and is not kept', async (t) => {
  const rig = await openAged(t)
  const bounded = { maxAgeMs: 60 * second }
  const reading = rig.aged.read(rig.request(bounded))
  const asked = await rig.question(1)
  rig.aged.forget('k')
  const later = rig.aged.read(rig.request(bounded))
  asked.answer(bodyOf('one'))
  t.equal(await textOf(reading), 'one')
  const next = await rig.question(2)
  t.equal(next.kept, undefined)
  t.equal(rig.cache.get('k'), undefined)
  next.answer(bodyOf('two'))
  t.equal(await textOf(later), 'two')
})

t.test(
  'a client that leaves breaks nothing for others; when the last has left the question is aborted',
  async (t) => {
    const rig = await openAged(t)
    const [one, two] = [new AbortController(), new AbortController()]
    const first = Promise.resolve(rig.aged.read(rig.request({ signal: one.signal })))
    const second = Promise.resolve(rig.aged.read(rig.request({ signal: two.signal })))
    const asked = await rig.question(1)
    rig.clock.advance(1)
    const third = rig.aged.read(rig.request())
    const left = new Error('left')
    one.abort(left)
    await t.rejects(first, left)
    t.notOk(asked.signal.aborted)
    two.abort(left)
    await t.rejects(second, left)
    t.ok(asked.signal.aborted)
    ;(await rig.question(2)).answer(bodyOf('one'))
    t.equal(await textOf(third), 'one')
  },
)

t.test('nothing is asked for clients that have all left, and what has begun to stream is kept', async (t) => {
  const rig = await openAged(t)
  const early = new AbortController()
  const never = Promise.resolve(rig.aged.read(rig.request({ signal: early.signal })))
  early.abort(new Error('left'))
  await t.rejects(never, { message: 'left' })
  await t.rejects(async () => rig.aged.read(rig.request({ signal: early.signal })), { message: 'left' })
  await turns()
  t.equal(rig.asked.length, 0)
  const body = new ManualProducer().push(Buffer.from('on'))
  const client = new AbortController()
  const reading = rig.aged.read(rig.request({ signal: client.signal }))
  ;(await rig.question(1)).answer(body.run(new AbortController().signal))
  ;(await reading).follower.close()
  client.abort()
  body.push(Buffer.from('e')).end()
  t.equal(await rig.fills[0]!.ended, 'committed')
})

t.test('an entry that cannot be read is replaced without a question more', async (t) => {
  const rig = await openAged(t)
  const bounded = { maxAgeMs: 60 * second }
  const entry = await fill(rig, 'one', bounded)
  t.capture(entry, 'load', async () => false)
  const reading = rig.aged.read(rig.request(bounded))
  const asked = await rig.question(2)
  t.equal(asked.kept, undefined)
  asked.answer(bodyOf('two'))
  t.equal(await textOf(reading), 'two')
  t.equal(rig.asked.length, 2)
})

t.test('an entry that has to be loaded answers when it is', async (t) => {
  const rig = await openAged(t)
  const bounded = { maxAgeMs: 60 * second }
  const entry = await fill(rig, 'one', bounded)
  entry.cool()
  const reading = rig.aged.read(rig.request(bounded))
  t.type(reading, Promise)
  t.match(await reading, { reuse: 'hit' })
  t.equal(await textOf(reading), 'one')
})

t.test('an origin that says unchanged where nothing is kept fails the request', async (t) => {
  const rig = await openAged(t)
  const reading = rig.aged.read(rig.request())
  ;(await rig.question(1)).answer('unchanged')
  await t.rejects(Promise.resolve(reading), { message: /nothing is kept/ })
})

t.test('a fill that the engine ends also ends the question', async (t) => {
  const rig = await openAged(t)
  const reading = rig.aged.read(rig.request())
  const asked = await rig.question(1)
  const body = new ManualProducer().push(Buffer.from('on'))
  asked.answer(body.run(asked.signal))
  const { follower } = await reading
  const read = collect(follower)
  await Promise.all([t.rejects(read, FillError), rig.cache.close()])
  t.ok(asked.signal.aborted)
  t.ok(body.over)
  const closed = rig.aged.read(rig.request())
  const second = await rig.question(2)
  second.answer(bodyOf('two'))
  await t.rejects(Promise.resolve(closed), FillError)
  await eventually('the question is aborted', () => second.signal.aborted)
})

t.test('the clock and the random numbers may be left out', async (t) => {
  const { cache } = await openAged(t)
  const aged = new AgedCache({ cache, statusOf: () => ({ open: 0, openings: 0, changes: 0 }) })
  t.teardown(() => aged.close())
  const read = (): AgedReading | Promise<AgedReading> =>
    aged.read({
      ...{ key: 'k', subject: '/r', arrivedAtMs: performance.now(), maxAgeMs: 60 * second, staleMs: 0 },
      ask: async () => bodyOf('one'),
      mayBeStale: () => false,
    })
  const first = await read()
  t.equal(await textOf(first), 'one')
  await eventually('the entry is committed', () => cache.get('k') === first.entry)
  await answered(t, read(), { reuse: 'hit' })
})
