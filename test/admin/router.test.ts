import t from 'tap'
import { once } from 'node:events'
import { z } from 'zod'
import { Problem, type Call, type Endpoint } from '../../src/admin/endpoint.js'
import { serveEndpoints } from '../support/admin.js'
import { connect } from '../support/http-client.js'

const body = z.strictObject({ count: z.number().default(1), deep: z.object({ text: z.string() }).optional() })

/** Endpoints that keep what they were called with. */
function makeEndpoints(): { endpoints: Endpoint[]; calls: Call[] } {
  const calls: Call[] = []
  const answers = {}
  const handle = (call: Call) => ({ status: 200, body: { got: calls.push(call) } })
  const endpoints: Endpoint[] = [
    { method: 'GET', path: '/things', summary: '', answers, handle },
    { method: 'POST', path: '/things', summary: '', answers, body, handle },
    { method: 'PUT', path: '/things/{id}', summary: '', answers, body, bodyOptional: true, handle },
    { method: 'POST', path: '/raw/{one}/and/{two}', summary: '', answers, bodyMax: 100_000, handle },
    { method: 'DELETE', path: '/things/{id}', summary: '', answers, handle: () => ({ status: 204 }) },
    {
      ...{ method: 'GET', path: '/refuses', summary: '', answers },
      handle: async () => {
        throw new Problem(418, 'no coffee')
      },
    },
    {
      ...{ method: 'GET', path: '/breaks', summary: '', answers },
      handle: () => {
        throw new Error('broken')
      },
    },
  ]
  return { endpoints, calls }
}

t.test('a request is routed by path and method', async (t) => {
  const { endpoints, calls } = makeEndpoints()
  const { call } = await serveEndpoints(t, endpoints)
  t.match(await call('GET', '/things?x=1'), { status: 200, body: { got: 1 }, type: 'application/json' })
  t.match(await call('POST', '/raw/a%2Fb//and/c', 'text'), { status: 404 })
  t.match(await call('POST', '/raw/a%2Fb/and/', 'text'), { status: 200 })
  t.same(calls.at(-1)?.params, { one: 'a%2Fb', two: '' })
  t.equal(calls.at(-1)?.raw.toString(), 'text')
  t.match(await call('DELETE', '/things/1'), { status: 204, body: undefined })
  t.match(await call('PATCH', '/things/1'), { status: 405, allow: 'PUT, DELETE', body: { status: 405 } })
  t.match(
    await call('OPTIONS', '/things'),
    { status: 405, allow: 'GET, POST' },
    'no browser is told to go on',
  )
  for (const path of ['/', '/thing', '//things', '/things/1/2', '/Things']) {
    t.match(await call('GET', path), { status: 404 }, path)
  }
})

t.test('a body must be JSON that matches the endpoint’s schema', async (t) => {
  const { endpoints, calls } = makeEndpoints()
  const { call } = await serveEndpoints(t, endpoints)
  t.match(await call('POST', '/things', {}), { status: 200 })
  t.same(calls.at(-1)?.body, { count: 1 })
  const typed = { 'Content-Type': 'Application/JSON; charset=utf-8' }
  t.match(await call('POST', '/things', '{"count":2}', typed), { status: 200 })
  t.same(calls.at(-1)?.body, { count: 2 })
  t.match(await call('PUT', '/things/1'), { status: 200 }, 'none, where that may be')
  t.same(calls.at(-1)?.body, { count: 1 })

  const refused: [string | object | undefined, string | undefined, number, RegExp][] = [
    ['{}', undefined, 415, /Content-Type: application\/json/],
    ['{}', 'text/plain', 415, /JSON/],
    ['{}', 'application/x-www-form-urlencoded', 415, /JSON/],
    ['{}', 'application/jsonp', 415, /JSON/],
    [undefined, undefined, 400, /not JSON/],
    ['{', 'application/json', 400, /not JSON/],
    ['null', 'application/json', 400, /object/],
    [{ count: 'x' }, undefined, 400, /^count: .*number/],
    [{ deep: {} }, undefined, 400, /^deep\.text: /],
    [{ more: 1 }, undefined, 400, /"more"/],
  ]
  const before = calls.length
  for (const [given, type, status, detail] of refused) {
    const answer = await call('POST', '/things', given, type === undefined ? {} : { 'Content-Type': type })
    t.match(answer, { status, body: { status, detail }, type: 'application/problem+json' }, `${detail}`)
  }
  t.equal(calls.length, before)
})

t.test('a Problem is sent to the client; other errors are thrown', async (t) => {
  const { call } = await serveEndpoints(t, makeEndpoints().endpoints)
  t.match(await call('GET', '/refuses'), {
    status: 418,
    body: { title: "I'm a Teapot", status: 418, detail: 'no coffee' },
  })
  t.match(await call('GET', '/breaks'), { status: 500, body: 'Error: broken' })
})

t.test('a body that is too long is rejected, and the client receives the reason', async (t) => {
  const { endpoints, calls } = makeEndpoints()
  const { call } = await serveEndpoints(t, endpoints)
  const json = { 'Content-Type': 'application/json' }
  t.match(await call('POST', '/things', `{}${' '.repeat(65_534)}`, json), { status: 200 })
  t.match(await call('POST', '/things', `{}${' '.repeat(65_535)}`, json), {
    status: 413,
    body: { detail: /65536 bytes/ },
  })
  t.match(await call('POST', '/raw/a/and/b', Buffer.alloc(100_000)), { status: 200 })
  for (let round = 0; round < 3; round++) {
    t.match(
      await call('POST', '/raw/a/and/b', Buffer.alloc(20_000_000)),
      { status: 413 },
      'however long it is',
    )
  }
  t.equal(calls.length, 2)
})

t.test('an incomplete request does nothing', async (t) => {
  const { endpoints, calls } = makeEndpoints()
  const { url, call } = await serveEndpoints(t, endpoints)
  for (const head of [
    'Content-Length: 100\r\n\r\n',
    'Content-Length: 100\r\n\r\n{}',
    'Transfer-Encoding: chunked\r\n\r\n',
  ]) {
    const socket = connect(url)
    socket.on('error', () => {})
    await once(socket, 'connect')
    const request = `PUT /things/1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n${head}`
    socket.write(request)
    // The server has taken the head.
    await once(socket, 'data')
    socket.destroy()
    await once(socket, 'close')
  }
  // Whatever the server made of them it has made before it answers this.
  t.equal((await call('GET', '/things')).status, 200)
  t.same(
    calls.map(({ params }) => params),
    [{}],
  )
})
