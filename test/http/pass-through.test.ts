import t from 'tap'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import type { GitProcess } from '../../src/git/process/git-process.js'
import { GitError } from '../../src/git/process/git-error.js'
import { Connection } from '../../src/http/connection.js'
import { Exchange } from '../../src/http/exchange.js'
import { backendRequest, passThrough } from '../../src/http/pass-through.js'
import { findRoute, type Route } from '../../src/http/route.js'
import { FairShares } from '../../src/limits/admission/shares.js'
import { StallDetector } from '../../src/limits/connection/stall-detector.js'
import { WriteBudget } from '../../src/limits/connection/write-budget.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'

function told(target: string, headers: Record<string, string> = {}, method = 'POST') {
  const exchange = {
    request: { headers, method },
    version: 2,
    client: { address: '192.0.2.1' },
  } as unknown as Exchange
  return backendRequest(exchange, findRoute(target, method), 'me')
}

t.test('http-backend is told what has the form that its name requires, and nothing else', async (t) => {
  const headers = {
    'content-type': 'application/x-git-upload-pack-request',
    'content-length': '10',
    'content-encoding': 'gzip',
  }
  t.same(told('/a/git-upload-pack?service=x', headers), {
    ...{ method: 'POST', resource: '/git-upload-pack', service: undefined },
    ...{ contentType: 'application/x-git-upload-pack-request', contentLength: '10', contentEncoding: 'gzip' },
    ...{ gitProtocol: 'version=2', remoteUser: 'me', remoteAddress: '192.0.2.1' },
  })
  for (const type of ['a\u00e9', 'a\nb', '', 'a'.repeat(257)]) {
    t.equal(told('/a/git-upload-pack', { 'content-type': type }).contentType, undefined)
  }
  t.equal(told('/a/git-upload-pack', { 'content-encoding': 'br' }).contentEncoding, undefined)
})

t.test('only services that Git knows are advertised', async (t) => {
  const advertised = (service: string) => told(`/a/info/refs${service}`, {}, 'GET').service
  t.equal(advertised('?service=git-receive-pack'), 'git-receive-pack')
  t.equal(advertised('?service=git-upload-archive'), 'git-upload-archive')
  t.equal(advertised(''), undefined)
  t.throws(() => advertised('?service=git-x'), { name: 'HttpError', status: 403 })
  t.throws(() => advertised('?service='), { name: 'HttpError', status: 403 })
})

/** Passes a request through to a process that writes this and ends with this code. */
async function pass(output: string, code: number, target = 'GET /a/HEAD', body = '') {
  const server = createServer().listen(0, '127.0.0.1')
  server.on('connection', (socket) => {
    new Connection(socket, {
      ...{ answer: () => {}, dropped: () => {}, cut: () => {}, pipelined: new FairShares(1, 1) },
    })
  })
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
  let received = ''
  client.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')))
  const ended = new Promise((resolve) => client.once('close', resolve))
  const came = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`
  client.write(`${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${length}\r\n${body}`)
  const [request, response] = await came
  const stalls = new StallDetector({ idleMs: 0, minRate: 0, windowMs: 1000 })
  const exchange = new Exchange(request, response, {
    ...{ metrics: new Metrics(), log: createLog('silent'), shed: () => {} },
    ...{ responseStalls: stalls, requestStalls: stalls, writeBudget: new WriteBudget(1 << 30) },
  })
  Connection.of(request.socket).take(request, response, false)
  const stdin = new PassThrough()
  const stdout = new PassThrough()
  let input = ''
  stdin.on('data', (chunk: Buffer) => (input += chunk.toString('latin1')))
  let isEnded = false
  const process = {
    ...{ stdin, stdout, ended: Promise.resolve({ code, reason: `exit code ${code}` }) },
    end: () => (isEnded = true),
  } as unknown as GitProcess
  stdout.end(Buffer.from(output, 'latin1'))
  const route: Route = findRoute(request.url!, request.method)
  try {
    const isWhole = await passThrough(exchange, process, route, undefined)
    await ended
    return { isWhole, received, input, isEnded }
  } finally {
    client.destroy()
    server.close()
    server.closeAllConnections()
  }
}

const head = 'Content-Type: text/plain\r\n'

t.test('body in, response out', async (t) => {
  const result = await pass(`${head}\r\nhello`, 0, 'POST /a/git-upload-pack', 'body')
  t.match(result, { isWhole: true, input: 'body', received: /^HTTP\/1.1 200 [^]*hello/ })
})

t.test('the status of the response is Git’s', async (t) => {
  t.match(await pass(`Status: 404 Not Found\r\n${head}\r\n`, 0), { received: /^HTTP\/1.1 404 Not Found/ })
})

t.test('a response of a Git that failed is whole if its length or its error message says so', async (t) => {
  const packets = 'Content-Type: application/x-git-upload-pack-result\r\n\r\n'
  for (const [output, isWhole] of [
    [`${head}\r\nhello`, false],
    [`${head}Content-Length: 5\r\n\r\nhello`, true],
    [`${head}Content-Length: 6\r\n\r\nhello`, false],
    [`${packets}000cERR nope`, true],
    [`${packets}000cERR no`, false],
    [`${packets}0009hello`, false],
    [`${head}\r\n000cERR nope`, false],
  ] as const) {
    t.equal((await pass(output, 128)).isWhole, isWhole, JSON.stringify(output))
  }
})

t.test('to a HEAD only the head is sent, and the process is ended', async (t) => {
  const result = await pass(`${head}\r\nhello`, 0, 'HEAD /a/HEAD')
  t.match(result, { isWhole: true, isEnded: true })
  t.notMatch(result.received, /hello/)
})

t.test('a push that Git refuses without a message gets one', async (t) => {
  const refused = `Status: 403 Forbidden\r\n\r\n`
  for (const target of ['POST /a/git-receive-pack', 'GET /a/info/refs?service=git-receive-pack']) {
    await t.rejects(pass(refused, 0, target), { name: 'HttpError', status: 403, message: /http.receivepack/ })
  }
  t.match(await pass(refused, 0, 'POST /a/git-upload-pack'), { received: /^HTTP\/1.1 403/ })
})

t.test('a response head that HTTP does not allow is an error', async (t) => {
  await t.rejects(pass(`X: a\u0001b\r\n\r\n`, 0), GitError)
  await t.rejects(pass(`no header\r\n\r\n`, 0), GitError)
})
