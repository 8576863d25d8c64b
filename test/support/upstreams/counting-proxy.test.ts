import t from 'tap'
import { once } from 'node:events'
import { createServer, request, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { ask, raw } from '../http-client.js'
import { startHttpServer } from '../http-server.js'
import { startCountingProxy, type CountingProxy } from './counting-proxy.js'

const startBehind = async (t: Test, listener: RequestListener): Promise<CountingProxy> =>
  startCountingProxy(t, { port: await startHttpServer(t, listener) })

t.test('requests and responses pass as they are, and are counted', async (t) => {
  const proxy = await startBehind(t, (request, response) => {
    request.resume().on('end', () => {
      response.writeHead(401, 'No', ['WWW-Authenticate', 'Basic', 'WWW-Authenticate', 'Bearer', 'X-Odd', 'a'])
      response.end(
        `${request.method} ${request.url} ${request.rawHeaders.filter((_, index) => index % 2 === 0)}`,
      )
    })
  })
  const answer = await ask(`${proxy.url}/a.git/x?y=%20`, {
    method: 'POST',
    headers: { 'Git-Protocol': 'version=2' },
    body: 'body',
  })
  t.equal(answer.status, 401)
  t.same(answer.rawHeaders.slice(0, 6), [
    ...['WWW-Authenticate', 'Basic', 'WWW-Authenticate', 'Bearer', 'X-Odd', 'a'],
  ])
  t.match(answer.body.toString(), /^POST \/a\.git\/x\?y=%20 Git-Protocol,Host,Content-Length,Connection$/)
  t.match(proxy.requests, [
    { method: 'POST', target: '/a.git/x?y=%20', status: 401, headers: { 'git-protocol': 'version=2' } },
  ])
})

t.test('a response that the server breaks off breaks off at the client', async (t) => {
  const proxy = await startBehind(t, (_, response) => {
    response.writeHead(200, { 'Content-Length': 100 })
    response.write('half', () => response.destroy())
  })
  await t.rejects(ask(proxy.url), { code: 'ECONNRESET' })
  t.match(proxy.requests, [{ status: 200 }])
})

t.test('without an answer of the server there is none', async (t) => {
  const proxy = await startBehind(t, (request) => request.socket.destroy())
  t.equal(await raw(proxy.url, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'), '')
  t.equal(proxy.requests[0]?.status, undefined)
})

t.test('the server says when a body may come', async (t) => {
  const server = createServer((_, response) => response.end())
  server.on('checkContinue', (request, response) => {
    response.writeContinue()
    request.pipe(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const proxy = await startCountingProxy(t, { port: (server.address() as AddressInfo).port })
  const asking = request(proxy.url, { method: 'POST', headers: { Expect: '100-continue' }, agent: false })
  asking.flushHeaders()
  await once(asking, 'continue')
  asking.end('body')
  const [response] = (await once(asking, 'response')) as [AsyncIterable<Buffer>]
  const parts = []
  for await (const part of response) parts.push(part)
  t.equal(Buffer.concat(parts).toString(), 'body')
})

t.test('a client that leaves ends the request at the server', async (t) => {
  let left: Promise<unknown> | undefined
  const proxy = await startBehind(t, (_, response) => {
    left = once(response, 'close')
    response.write('begun')
  })
  const asking = request(proxy.url, { agent: false }).end()
  await once(asking, 'response')
  asking.on('error', () => {}).destroy()
  await left
  t.pass('the server has seen it')
})
