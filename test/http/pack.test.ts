import t from 'tap'
import type { Test } from 'tap'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { GitError } from '../../src/git/process/git-error.js'
import { PackRefused } from '../../src/git/process/pack-answer.js'
import { Exchange } from '../../src/http/exchange.js'
import { sendPack, sendRefusal } from '../../src/http/pack.js'
import { refusalOf } from '../../src/origin/faults/faults.js'
import { StallDetector } from '../../src/limits/connection/stall-detector.js'
import { WriteBudget } from '../../src/limits/connection/write-budget.js'
import type { PackAnswer } from '../../src/origin/pack-answer.js'
import { FillError } from '../../src/streamcache/index.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { carryExchanges } from '../support/connections.js'
import { FakeClock } from '../support/fake-clock.js'
import { ask } from '../support/http-client.js'
import { bytesOf, ManualProducer, producerOf } from '../support/producers.js'
import { openCache, yes } from '../support/stream-cache.js'
import type { Producer } from '../../src/streamcache/index.js'

/** Serves one exchange after another by what the test says; returns the URL, and what the answers have failed with. */
async function serve(t: Test, answer: (exchange: Exchange) => Promise<void> | void) {
  const stalls = new StallDetector({ idleMs: 1000, minRate: 0, windowMs: 1000, clock: new FakeClock() })
  const failures: unknown[] = []
  const exchanges: Exchange[] = []
  const monitors = {
    ...{ metrics: new Metrics(), log: createLog('silent'), shed: () => {} },
    ...{ responseStalls: stalls, requestStalls: stalls, writeBudget: new WriteBudget(1 << 30) },
  }
  const server = createServer((request, response) => {
    const exchange = new Exchange(request, response, monitors)
    exchanges.push(exchange)
    void Promise.resolve(answer(exchange)).catch((error: unknown) => {
      failures.push(error)
      exchange.response.destroy()
    })
  })
  carryExchanges(server).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/r.git/git-upload-pack`
  return { url, failures, exchanges }
}

/** Starts to read what a producer makes; `whole`: after it has ended. */
async function answerFrom(t: Test, producer: Producer, whole: boolean): Promise<PackAnswer> {
  const { cache } = await openCache(t, { memoryFirst: true })
  const { entry, ended } = cache.fill('k', 'state', producer, yes)
  const follower = entry.follow()
  t.teardown(() => follower.close())
  if (whole) await ended
  return { entry, follower, reuse: 'filled', first: await follower.read() }
}

const type = 'application/x-git-upload-pack-result'

t.test('a growing pack is sent as it comes, a whole one with its length', async (t) => {
  const bytes = bytesOf(1, 0, 3_000_000)
  for (const whole of [false, true]) {
    const manual = new ManualProducer().push(bytes.subarray(0, 1000))
    const answer = await answerFrom(t, whole ? producerOf(bytes) : manual.run, whole)
    const { url, failures, exchanges } = await serve(t, (exchange) => {
      const sent = sendPack(exchange, answer)
      manual.push(bytes.subarray(1000)).end()
      return sent
    })
    const { status, headers, body } = await ask(url, { method: 'POST' })
    t.equal(status, 200)
    t.match(headers, { 'content-type': type, 'cache-control': 'no-cache, max-age=0, must-revalidate' })
    t.equal(headers['content-length'], whole ? String(bytes.length) : undefined)
    t.ok(body.equals(bytes))
    t.equal(exchanges[0]!.sentBytes, bytes.length)
    t.same(failures, [])
  }
})

t.test('an empty answer is an answer', async (t) => {
  for (const whole of [false, true]) {
    const answer = await answerFrom(t, producerOf(), whole)
    const { url } = await serve(t, (exchange) => sendPack(exchange, answer))
    const { status, headers, body } = await ask(url, { method: 'POST' })
    t.match({ status, type: headers['content-type'], length: body.length }, { status: 200, type, length: 0 })
  }
})

t.test('a pack whose Git dies ends in an error for the client', async (t) => {
  const manual = new ManualProducer().push(Buffer.from('PACK'))
  const answer = await answerFrom(t, manual.run, false)
  const { url, failures } = await serve(t, (exchange) => {
    const sent = sendPack(exchange, answer)
    manual.fail()
    return sent
  })
  await t.rejects(ask(url, { method: 'POST' }))
  t.match(failures, [{ name: 'FillError' }])
})

t.test('the message of a refusal is an answer of its own; other errors have none', async (t) => {
  const message = Buffer.from('0024ERR upload-pack: not our ref abc')
  const refused = new PackRefused(message)
  t.equal(refusalOf(refused)?.answer, message)
  t.equal(refusalOf(new FillError('producer', 'x', { cause: refused }))?.answer, message)
  t.equal(refusalOf(new FillError('producer', 'x', { cause: new GitError('x') })), undefined)
  t.equal(refusalOf(new GitError('x')), undefined)
  t.equal(refusalOf('x'), undefined)
  const { url } = await serve(t, (exchange) => sendRefusal(exchange, refused))
  const { status, headers, body } = await ask(url, { method: 'POST' })
  t.equal(status, 200)
  t.match(headers, { 'content-type': type, 'content-length': String(message.length) })
  t.ok(body.equals(message))
})
