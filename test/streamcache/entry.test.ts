import t from 'tap'
import type { Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { Entry } from '../../src/streamcache/entry.js'
import { FillError } from '../../src/streamcache/fill/fill-error.js'
import { growingFile } from '../support/growing-file.js'
import { simulateTimers } from '../support/simulated-timers.js'
import { bytesOf, collect, ManualProducer, readUntil, producerOf, turns } from '../support/producers.js'

const patient = { fillTimeoutMs: 600_000, fillSilenceMs: 600_000 }

async function newEntry(t: Test, maxLeadBytes = 1 << 26): Promise<Entry> {
  return new Entry('key', 'token', (await growingFile(t, { maxLeadBytes })).file)
}

t.test('a producer that ends makes a complete entry', async (t) => {
  const entry = await newEntry(t)
  const follower = entry.follow()
  await entry.run(producerOf('abc', 'de'), patient)
  t.equal((await collect(follower)).toString(), 'abcde')
})

t.test('a producer that throws fails its followers, with its error as the cause', async (t) => {
  const cause = new Error('exit code 128')
  const early = new ManualProducer().fail(cause)
  const late = new ManualProducer().push(Buffer.from('abc')).fail(cause)
  const atOnce = (): never => {
    throw cause
  }
  for (const producer of [early.run, late.run, atOnce]) {
    const entry = await newEntry(t)
    const follower = entry.follow()
    await entry.run(producer, patient)
    const expected = { fault: 'producer', message: 'exit code 128', cause }
    await t.rejects(collect(follower), expected)
    t.throws(() => entry.follow(), expected)
    t.notOk(entry.joinable)
  }
})

t.test('a producer may name the fault itself', async (t) => {
  const entry = await newEntry(t)
  const error = new FillError('timeout', 'queued for too long')
  await entry.run(new ManualProducer().fail(error).run, patient)
  t.throws(() => entry.follow(), error)
})

t.test('silence ends a fill, before the first byte and after it', async (t) => {
  for (const [fault, ...first] of [['first-byte'], ['silence', Buffer.from('abc')]] as [
    string,
    ...Buffer[],
  ][]) {
    const entry = await newEntry(t)
    const producer = new ManualProducer().push(...first)
    const follower = entry.follow()
    const ran = entry.run(producer.run, { fillTimeoutMs: 60_000, fillSilenceMs: 40 })
    await t.rejects(collect(follower), { name: 'FillError', fault })
    await ran
    t.equal((producer.signal?.reason as FillError).fault, fault, 'the signal tells the producer')
    t.ok(producer.over)
  }
})

t.test('a fill that is never silent ends when its time limit has passed', async (t) => {
  const entry = await newEntry(t)
  let signal: AbortSignal | undefined
  async function* dripping(given: AbortSignal): AsyncGenerator<Buffer> {
    signal = given
    for (; !given.aborted; await sleep(5)) yield Buffer.from('x')
  }
  const follower = entry.follow()
  const ran = entry.run(dripping, { fillTimeoutMs: 100, fillSilenceMs: 60_000 })
  await t.rejects(collect(follower), { name: 'FillError', fault: 'timeout' })
  await ran
  t.equal((signal?.reason as FillError).fault, 'timeout')
})

t.test('time in which a fill waits for slow followers counts for neither limit', async (t) => {
  const entry = await newEntry(t, 1000)
  const producer = new ManualProducer()
    .push(bytesOf(1, 0, 5000), bytesOf(1, 5000, 5000), bytesOf(1, 10_000, 10))
    .end()
  const follower = entry.follow()
  // Only the test lets time pass.
  const timers = simulateTimers(t)
  const ran = entry.run(producer.run, { fillTimeoutMs: 60, fillSilenceMs: 60_000 })
  for (const taken of [5000, 10_000]) {
    await turns()
    timers.pass(150)
    t.equal(producer.taken, taken, 'it waits')
    await readUntil(follower, taken)
    await turns(1)
  }
  t.equal((await collect(follower)).length, 10)
  await ran
  timers.restore()
})

t.test('a pause is bounded: then the fill goes on ahead of its followers', async (t) => {
  const entry = await newEntry(t, 1000)
  const producer = new ManualProducer().push(bytesOf(1, 0, 5000), bytesOf(1, 5000, 5000)).end()
  const stalled = entry.follow()
  await entry.run(producer.run, { fillTimeoutMs: 60_000, fillSilenceMs: 30 })
  t.equal(entry.size, 10_000)
  t.equal((await collect(stalled)).length, 10_000, 'they still get all of it')
})

t.test('a request that waits for the end is not delayed by followers', async (t) => {
  const entry = await newEntry(t, 1000)
  const producer = new ManualProducer().push(bytesOf(1, 0, 5000), bytesOf(1, 5000, 5000)).end()
  const stalled = entry.follow()
  const ran = entry.run(producer.run, { fillTimeoutMs: 60_000, fillSilenceMs: 60_000 })
  await turns(2)
  t.equal(producer.taken, 5000, 'it pauses')
  await entry.end()
  await ran
  t.equal(entry.size, 10_000)
  stalled.close()
})

t.test('stop() reaches followers at once, even if the producer ends late', async (t) => {
  const entry = await newEntry(t)
  let release!: () => void
  const released = new Promise<void>((resolve) => (release = resolve))
  async function* slowToStop(): AsyncGenerator<Buffer> {
    yield Buffer.from('abc')
    await released
    yield Buffer.from('late')
  }
  const follower = entry.follow()
  const ran = entry.run(slowToStop, patient)
  await readUntil(follower, 3)
  const error = new FillError('closed', 'the cache is closing')
  entry.stop(error)
  await t.rejects(collect(follower), error)
  release()
  await ran
  t.equal(entry.file.length, 3, 'late bytes are not taken')
  t.throws(() => entry.follow(), error)
})

t.test('an entry that is stopped before it runs never starts its producer', async (t) => {
  const entry = await newEntry(t)
  entry.stop(new FillError('closed', 'the cache is closed'))
  await entry.run(() => t.fail('started') as never, patient)
  t.throws(() => entry.follow(), { name: 'FillError', fault: 'closed' })
})
