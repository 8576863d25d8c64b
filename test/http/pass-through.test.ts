import t from 'tap'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { Connection } from '../../src/http/connection.js'
import { Exchange } from '../../src/http/exchange.js'
import { passThroughRequest, sendOriginResponse } from '../../src/http/pass-through.js'
import { findRoute } from '../../src/http/route.js'
import { StallDetector } from '../../src/limits/connection/stall-detector.js'
import { WriteBudget } from '../../src/limits/connection/write-budget.js'
import type { OriginResponse } from '../../src/origin/pass-through.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { carryExchanges } from '../support/connections.js'

function told(target: string, headers: Record<string, string> = {}, method = 'POST') {
  const rawHeaders = Object.entries(headers).flat()
  const request = Object.assign(new PassThrough(), { headers, rawHeaders, method, url: target })
  const exchange = { request, version: 2, client: { address: '192.0.2.1' } } as unknown as Exchange
  return {
    exchange,
    request,
    told: passThroughRequest(exchange, findRoute(target, method, { anyTarget: false }), 'me'),
  }
}

t.test('an origin is told what was sent, and what it means', async (t) => {
  const headers = {
    'content-type': 'application/x-git-upload-pack-request',
    'content-length': '10',
    'content-encoding': 'gzip',
  }
  const { told: first, request } = told('/a/git-upload-pack?service=x', headers)
  t.match(first, {
    ...{
      method: 'POST',
      resource: '/git-upload-pack',
      service: undefined,
      uri: '/a/git-upload-pack?service=x',
    },
    ...{ contentType: 'application/x-git-upload-pack-request', contentLength: '10', contentEncoding: 'gzip' },
    ...{ gitProtocol: 'version=2', remoteUser: 'me', remoteAddress: '192.0.2.1' },
    headers: Object.entries(headers).flat(),
  })
  t.match(first.body, { beginning: { length: 0 }, ended: false })
  t.equal(first.body.rest, request)
  const { told: absolute } = told('http://example.com/a/info/refs?service=git-x', {}, 'GET')
  t.match(absolute, { method: 'GET', uri: '/a/info/refs?service=git-x', service: 'git-x' })
})

t.test('what was read of a body is handed on', async (t) => {
  const { exchange } = told('/a/git-receive-pack')
  exchange.peeked = { beginning: Buffer.from('abc'), ended: true, asks: undefined }
  const route = findRoute('/a/git-receive-pack', 'POST', { anyTarget: false })
  const { body } = passThroughRequest(exchange, route, undefined)
  t.same([body.beginning.toString(), body.ended], ['abc', true])
})

interface Answer extends Partial<Pick<OriginResponse, 'status' | 'statusText' | 'headers' | 'body'>> {
  readonly isWhole?: boolean
}

/** Sends an origin's answer to a client that asks with this method. */
async function send({ isWhole = true, ...answer }: Answer, method = 'GET') {
  const server = carryExchanges(createServer()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
  let received = ''
  client.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')))
  const ended = new Promise((resolve) => client.once('close', resolve))
  const came = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>
  client.write(`${method} /a/HEAD HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  const [request, response] = await came
  const stalls = new StallDetector({ idleMs: 0, minRate: 0, windowMs: 1000 })
  const exchange = new Exchange(request, response, {
    ...{ metrics: new Metrics(), log: createLog('silent'), shed: () => {} },
    ...{ responseStalls: stalls, requestStalls: stalls, writeBudget: new WriteBudget(1 << 30) },
  })
  Connection.of(request.socket).take(request, response, false)
  let isEnded = false
  try {
    const sent = await sendOriginResponse(exchange, {
      ...{ status: 200, statusText: undefined, headers: [], body: Readable.from([]), ...answer },
      whole: async () => isWhole,
      end: () => (isEnded = true),
    })
    await ended
    return { sent, received, isEnded }
  } catch (error) {
    throw Object.assign(error as Error, { isEnded })
  } finally {
    client.destroy()
    server.close()
    server.closeAllConnections()
  }
}

const hello = () => Readable.from([Buffer.from('he'), Buffer.from('llo')])

t.test('status, headers and body are the origin’s', async (t) => {
  const headers = ['X-A', '1', 'x-a', '2', 'Content-Length', '5']
  const { sent, received } = await send({ status: 404, statusText: 'Gone Fishing', headers, body: hello() })
  t.equal(sent, true)
  t.match(received, /^HTTP\/1.1 404 Gone Fishing\r\n[^]*X-A: 1\r\nx-a: 2\r\n[^]*\r\n\r\nhello$/)
  t.match(await send({ status: 418 }), { received: /^HTTP\/1.1 418 I'm a Teapot\r\n/ })
})

t.test('an answer that is not whole is broken off', async (t) => {
  t.match(await send({ body: hello() }), { sent: true, received: /2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n$/ })
  const { sent, received } = await send({ body: hello(), isWhole: false })
  t.equal(sent, false)
  t.match(received, /llo\r\n$/)
})

t.test('an error of the body is thrown after what came before it was sent', async (t) => {
  const body = Readable.from(
    (async function* () {
      yield Buffer.from('he')
      throw new Error('reset')
    })(),
  )
  await t.rejects(send({ body }), { message: 'reset' })
})

t.test('to a HEAD only the head is sent, and the answer is given up', async (t) => {
  const result = await send({ headers: ['Content-Length', '5'], body: hello() }, 'HEAD')
  t.match(result, { sent: true, isEnded: true, received: /Content-Length: 5/ })
  t.notMatch(result.received, /hello/)
})

t.test('a head that HTTP does not allow is an error, and the answer is given up', async (t) => {
  await t.rejects(send({ headers: ['X', 'a\u0001b'] }), { code: 'ERR_INVALID_CHAR', isEnded: true })
  await t.rejects(send({ statusText: 'a\u0001b' }), { code: 'ERR_INVALID_CHAR', isEnded: true })
})
