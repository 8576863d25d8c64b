import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { DiskWatchdog } from '../../../src/streamcache/disk/disk-watchdog.js'
import { pending, turns } from '../../support/producers.js'

/** An operation that the test ends. */
class Manual {
  started = false
  #end!: (how: () => number) => void
  readonly run = async (): Promise<number> => {
    this.started = true
    return (await new Promise<() => number>((resolve) => (this.#end = resolve)))()
  }

  end(value: number): void {
    this.#end(() => value)
  }

  fail(): void {
    this.#end(() => {
      throw new Error('EIO')
    })
  }
}

t.test('an operation resolves with its result, or rejects with its error', async (t) => {
  const watch = new DiskWatchdog()
  t.equal(await watch.run(async () => 5), 5)
  await t.rejects(
    watch.run(async () => Promise.reject(new Error('EIO'))),
    /EIO/,
  )
  t.equal(await watch.run(async () => 6), 6)
})

t.test('at most three operations run at once, the others in their order', async (t) => {
  const watch = new DiskWatchdog()
  const work = Array.from({ length: 6 }, () => new Manual())
  const results = work.map((each) => watch.run(each.run))
  const started = (): boolean[] => work.map((each) => each.started)
  t.same(started(), [true, true, true, false, false, false])
  work[1]!.end(1)
  t.equal(await results[1], 1)
  await turns()
  t.same(started(), [true, true, true, true, false, false])
  work[0]!.fail()
  await t.rejects(results[0]!, /EIO/)
  await turns()
  t.same(started(), [true, true, true, true, true, false])
  for (const [index, each] of work.entries()) {
    if (index < 2) continue
    await turns()
    each.end(index)
  }
  t.same(await Promise.all(results.slice(2)), [2, 3, 4, 5])
})

t.test('while one hangs, no other is started and each fails at once; then all goes on', async (t) => {
  const watch = new DiskWatchdog(20)
  const [hanging, behind, never] = [new Manual(), new Manual(), new Manual()]
  const others = [new Manual(), new Manual()]
  const late: number[] = []
  const first = watch.run(hanging.run, (value) => late.push(value))
  for (const each of others) void watch.run(each.run)
  const waiting = watch.run(behind.run)
  for (const each of others) each.end(0)
  await t.rejects(first, /does not answer/)
  const refused = watch.run(never.run)
  t.notOk(await pending(refused.catch(() => {})))
  await t.rejects(refused, /does not answer/)
  t.notOk(never.started)
  behind.end(2)
  t.equal(await waiting, 2, 'operations that were running may end')
  hanging.end(1)
  await turns()
  t.same(late, [1], 'so that it can be released')
  t.equal(await watch.run(async () => 5), 5)
})

t.test('an operation that waits behind a hung one fails in time too, and is not started later', async (t) => {
  const watch = new DiskWatchdog(20)
  const hanging = Array.from({ length: 3 }, () => new Manual())
  const results = hanging.map((each) => watch.run(each.run))
  const behind = new Manual()
  const all = await Promise.allSettled([...results, watch.run(behind.run)])
  for (const each of all)
    t.match(each, { status: 'rejected', reason: { message: 'the disk does not answer' } })
  for (const each of hanging) each.fail()
  await turns()
  t.notOk(behind.started)
  t.equal(await watch.run(async () => 5), 5)
})

t.test('the time that an operation waits for others does not count', async (t) => {
  const watch = new DiskWatchdog(200)
  // More than the limit all together, each far less.
  const work = Array.from({ length: 60 }, (_, index) => watch.run(() => sleep(20, index)))
  t.same(
    await Promise.all(work),
    work.map((_, index) => index),
  )
})

t.test('it is behind when many operations wait', async (t) => {
  const watch = new DiskWatchdog()
  const running = Array.from({ length: 3 }, () => new Manual())
  for (const each of running) void watch.run(each.run)
  const waiting = Array.from({ length: 256 }, () => {
    t.notOk(watch.behind)
    return watch.run(async () => 1)
  })
  t.ok(watch.behind)
  for (const each of running) each.end(0)
  await Promise.all(waiting)
  t.notOk(watch.behind)
})
