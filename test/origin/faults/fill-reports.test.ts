import t from 'tap'
import { PackRefused } from '../../../src/git/process/pack-answer.js'
import { BackOff } from '../../../src/limits/back-off.js'
import { Overloaded } from '../../../src/limits/overloaded.js'
import { BackingOff, FailedElsewhere } from '../../../src/origin/faults/errors.js'
import { FillReports, type StartedFill } from '../../../src/origin/faults/fill-reports.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../../../src/origin/faults/upstream-errors.js'
import { FillError, type Entry, type FillResult } from '../../../src/streamcache/index.js'
import type { Log } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { FakeClock } from '../../support/fake-clock.js'

const key = 'advertisement v0 /r.git'

function openReports() {
  const backOff = new BackOff({
    baseMs: 100,
    capMs: 1000,
    max: 10,
    clock: new FakeClock(),
    random: () => 0.5,
  })
  const metrics = new Metrics()
  const warnings: unknown[] = []
  const log = { warn: (fields: { key: string }) => void warnings.push(fields.key) } as unknown as Log
  const reports = new FillReports({ backOff, metrics, log })
  const end = async (
    result: FillResult,
    error?: unknown,
    kind: StartedFill['kind'] = 'advertisement',
  ): Promise<void> => {
    const entry = { key, length: 10, error } as unknown as Entry
    reports.started({ kind, entry, state: 's', ended: Promise.resolve(result) })
    await Promise.resolve()
  }
  const value = async (name: string, labels: Record<string, string> = {}): Promise<number> => {
    const { values } = await metrics.registry.getSingleMetric(name)!.get()
    const matches = values.filter((each) =>
      Object.entries(labels).every(([label, wanted]) => each.labels[label] === wanted),
    )
    return matches.reduce((sum, each) => sum + each.value, 0)
  }
  return { backOff, warnings, end, value }
}

t.test('a fill is counted when it ends', async (t) => {
  const { end, value } = openReports()
  await end('committed')
  await end('unshared')
  t.equal(await value('refstream_fills_total', { kind: 'advertisement', result: 'committed' }), 1)
  t.equal(await value('refstream_fills_total', { result: 'unshared' }), 1)
  t.equal(await value('refstream_fill_bytes_total'), 20)
  t.equal(await value('refstream_loser_writes_total'), 0)
  await end('loser')
  t.equal(await value('refstream_loser_writes_total'), 1)
  t.equal(await value('refstream_loser_bytes_total'), 10)
})

t.test('a key backs off after two failures in a row, and not after a success', async (t) => {
  const { backOff, warnings, end, value } = openReports()
  const error = new FillError('producer', 'x', { cause: new Error('x') })
  await end('failed', error)
  t.equal(backOff.blocked(key, 's'), undefined)
  await end('failed', error)
  t.match(backOff.blocked(key, 's'), { error, retryAfterMs: 50 })
  t.equal(backOff.blocked(key, 'another state'), undefined)
  t.same(warnings, [key, key])
  t.equal(await value('refstream_fill_failures_total', { fault: 'producer' }), 2)
  await end('committed')
  t.equal(backOff.blocked(key, 's'), undefined)
})

t.test('failures of the moment are counted, not logged, and do not make a key back off', async (t) => {
  const { backOff, warnings, end, value } = openReports()
  const error = new FillError('producer', 'x', { cause: new Overloaded('wait', 1) })
  for (let count = 0; count < 3; count++) await end('failed', error)
  t.equal(backOff.blocked(key, 's'), undefined)
  t.same(warnings, [])
  t.equal(await value('refstream_fill_failures_total', { fault: 'shed' }), 3)
})

t.test('a fill that ends with the process does not make its key back off', async (t) => {
  const { backOff, end, value } = openReports()
  for (let count = 0; count < 3; count++) await end('failed', new FillError('closed', 'x'))
  t.equal(backOff.blocked(key, 's'), undefined)
  t.equal(await value('refstream_fill_failures_total', { fault: 'closed' }), 3)
})

t.test(
  'a refused fetch, and a pack without clients, are neither logged nor make a key back off',
  async (t) => {
    const { backOff, warnings, end, value } = openReports()
    const refused = new FillError('producer', 'x', { cause: new PackRefused(Buffer.from('0009ERR x')) })
    const unread = new FillError('unread', 'x')
    for (const error of [refused, refused, refused, unread, unread]) await end('failed', error, 'pack')
    t.equal(backOff.blocked(key, 's'), undefined)
    t.same(warnings, [])
    t.equal(await value('refstream_fill_failures_total', { kind: 'pack', fault: 'refused' }), 3)
    t.equal(await value('refstream_fill_failures_total', { kind: 'pack', fault: 'unread' }), 2)
    t.equal(await value('refstream_fills_total', { kind: 'pack', result: 'failed' }), 5)
  },
)

t.test('an upstream that refuses or is away is neither logged nor makes a key back off', async (t) => {
  const { backOff, warnings, end, value } = openReports()
  for (const cause of [new UpstreamRefusal(401, [], Buffer.alloc(0)), new UpstreamUnavailable('x')]) {
    for (let count = 0; count < 3; count++) await end('failed', new FillError('producer', 'x', { cause }))
  }
  t.equal(backOff.blocked(key, 's'), undefined)
  t.same(warnings, [])
  t.equal(await value('refstream_fill_failures_total', { fault: 'refused' }), 3)
  t.equal(await value('refstream_fill_failures_total', { fault: 'unavailable' }), 3)
})

t.test('they do not end a back-off either', async (t) => {
  const { backOff, end } = openReports()
  const broken = new FillError('producer', 'x', { cause: new Error('x') })
  for (let count = 0; count < 2; count++) await end('failed', broken, 'pack')
  await end('failed', new FillError('unread', 'x'), 'pack')
  t.not(backOff.blocked(key, 's'), undefined)
})

t.test('a failure of another node counts; that node says until when it blocks', async (t) => {
  const { backOff, warnings, end } = openReports()
  const elsewhere = new FillError('producer', 'x', { cause: new FailedElsewhere('x') })
  for (let count = 0; count < 3; count++) await end('failed', elsewhere)
  t.same([backOff.blocked(key, 's'), backOff.failuresOf(key, 's')?.count], [undefined, 3])
  t.equal(warnings.length, 3)
  await end('failed', new FillError('producer', 'x', { cause: new BackingOff(500, undefined, 6) }))
  await end('failed', new FillError('producer', 'x', { cause: new BackingOff(500, undefined) }))
  t.same([backOff.blocked(key, 's'), backOff.failuresOf(key, 's')?.count], [undefined, 6])
  t.equal(warnings.length, 3)
})
