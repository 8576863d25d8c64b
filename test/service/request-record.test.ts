import t from 'tap'
import { StallDetector } from '../../src/limits/connection/stall-detector.js'
import { Overloaded } from '../../src/limits/overloaded.js'
import { classify } from '../../src/service/failures.js'
import { RequestRecord } from '../../src/service/request-record.js'
import { FillError } from '../../src/streamcache/index.js'
import type { Log } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { FakeClock } from '../support/fake-clock.js'

/** A request of a protocol that does nothing else. */
class TestRequest extends RequestRecord {
  readonly method = 'GET'
  readonly send = (bytes: number): void => this.countSent(bytes)
  readonly leave = (): void => this.abort()
  readonly watch = (cut: () => void): (() => void) =>
    this.watchResponse({ taken: () => 0, owed: () => true }, cut)
  readonly signalIf = (applies: () => boolean): AbortSignal => this.abortSignal(applies)
}

function openRequest({ debug = false } = {}) {
  const metrics = new Metrics()
  const clock = new FakeClock()
  const shed: Overloaded[] = []
  const lines: { level: string; message: string; fields: Record<string, unknown> }[] = []
  const at =
    (level: string) =>
    (fields: Record<string, unknown>, message: string): void =>
      void lines.push({ level, message, fields })
  const log = { isLevelEnabled: () => debug, debug: at('debug'), error: at('error') } as unknown as Log
  const responseStalls = new StallDetector({ idleMs: 1000, minRate: 0, windowMs: 1000, clock })
  const request = new TestRequest('http', 'advertisement', {
    ...{ metrics, log, responseStalls, shed: (why) => shed.push(why) },
  })
  const labels = async (name: string): Promise<object[]> =>
    (await metrics.registry.getSingleMetric(name)!.get()).values
      .filter(({ value }) => value > 0)
      .map((each) => ({ ...each.labels, value: each.value }))
  return { request, metrics, clock, shed, lines, labels }
}

t.test('a request is counted with its labels and bytes', async (t) => {
  const { request, labels } = openRequest()
  request.version = 2
  request.outcome = 'hit'
  request.send(10)
  request.send(20)
  request.finish()
  const common = { transport: 'http', kind: 'advertisement' }
  t.same(await labels('refstream_requests_total'), [{ ...common, protocol: 'v2', outcome: 'hit', value: 1 }])
  t.same(await labels('refstream_sent_bytes_total'), [{ ...common, value: 30 }])
  const counts = (await labels('refstream_first_byte_seconds')).filter((each) => !('le' in each))
  t.match(counts, [{ ...common }], 'the time to the first byte is observed')
})

t.test('a request without an outcome has failed, and one without a byte sent none', async (t) => {
  const { request, labels } = openRequest()
  request.finish()
  t.match(await labels('refstream_requests_total'), [{ protocol: 'v0', outcome: 'error' }])
  t.same(await labels('refstream_sent_bytes_total'), [])
})

t.test('a request whose client has left counts as aborted, unless its answer failed before', async (t) => {
  for (const [outcome, counted] of [
    ['hit', 'aborted'],
    [undefined, 'aborted'],
    ['shed', 'aborted'],
    ['error', 'error'],
  ] as const) {
    const { request, labels } = openRequest()
    request.outcome = outcome
    request.leave()
    request.finish()
    t.match(await labels('refstream_requests_total'), [{ outcome: counted }])
  }
})

t.test('a client that leaves aborts signals and calls back, once, or at once afterwards', async (t) => {
  const { request } = openRequest()
  const calls: string[] = []
  request.onAbort(() => calls.push('before'))
  const { signal } = request
  t.equal(request.signal, signal)
  t.doesNotThrow(() => request.throwIfAborted())
  request.leave()
  request.leave()
  request.onAbort(() => calls.push('after'))
  t.same(calls, ['before', 'after'])
  t.equal(request.aborted, true)
  t.equal(signal.aborted, true)
  t.equal(request.signalIf(() => true).aborted, true, 'a signal that is asked for later')
  t.equal(request.signalIf(() => false).aborted, false)
  t.throws(() => request.throwIfAborted(), { name: 'RequestAborted' })
  t.throws(() => signal.throwIfAborted(), { name: 'RequestAborted' })
})

t.test('a failure has its outcome and is logged at its level', async (t) => {
  const { request, lines, shed } = openRequest()
  request.repository = 'r.git'
  const error = new TypeError('x')
  request.failed(error, classify(error))
  t.equal(request.outcome, 'error')
  const common = { transport: 'http', method: 'GET', repository: 'r.git' }
  const fields = { err: error, ...common, 'refstream.request.id': request.id }
  t.same(lines, [{ level: 'error', message: 'request failed', fields }])
  const filled = new FillError('timeout', 'x')
  request.failed(filled, classify(filled))
  t.equal(lines[1]?.level, 'debug', 'a fill that failed has been logged')
  t.same(shed, [])
})

t.test('a request that is shed is reported, not logged, whether by itself or with its fill', async (t) => {
  const { request, lines, shed } = openRequest()
  const overloaded = new Overloaded('wait', 1)
  for (const error of [overloaded, new FillError('producer', 'x', { cause: overloaded })]) {
    request.failed(error, classify(error))
    t.equal(request.outcome, 'shed')
  }
  t.same(shed, [overloaded, overloaded])
  t.same(lines, [])
})

t.test('a client that takes nothing is cut and counted', async (t) => {
  const { request, clock, labels } = openRequest()
  let cuts = 0
  request.watch(() => cuts++)
  clock.advance(500)
  t.equal(cuts, 0)
  clock.advance(2000)
  t.equal(cuts, 1)
  t.match(await labels('refstream_clients_cut_total'), [{ reason: 'idle', value: 1 }])
  request.watch(() => cuts++)()
  clock.advance(5000)
  t.equal(cuts, 1, 'a watch that has been ended')
})

t.test('at the debug level, each request has a line', async (t) => {
  const { request, lines } = openRequest({ debug: true })
  request.outcome = 'joined'
  request.repository = 'r.git'
  request.send(5)
  request.finish()
  t.match(lines, [
    {
      level: 'debug',
      message: 'request',
      fields: {
        ...{ transport: 'http', method: 'GET', repository: 'r.git', kind: 'advertisement' },
        ...{ protocol: 'v0', outcome: 'joined', sentBytes: 5, ms: Number },
      },
    },
  ])
})
