import t, { type Test } from 'tap'
import type { AccessRequest } from '../../src/access/access-request.js'
import { ExternalAuthorizer } from '../../src/access/external-authorizer.js'
import { serveAuthorizer } from '../support/authorizer.js'

t.test('the repository’s name is percent-encoded, whatever bytes it has', (t) => {
  const authorizer = new ExternalAuthorizer({
    url: 'http://127.0.0.1:9/',
    timeoutMs: 1,
    headers: [],
    userHeader: 'remote-user',
  })
  t.teardown(() => authorizer.close())
  const names = {
    'a/b.git': 'a/b.git',
    'café 1.git': 'caf%C3%A9%201.git',
    // Bytes that are not UTF-8, beside others that are.
    'caf\uDCE9.git': 'caf%E9.git',
    '\uDC93\uDCFA/é😀': '%93%FA/%C3%A9%F0%9F%98%80',
    'x\ny': 'x%0Ay',
  }
  for (const [repository, encoded] of Object.entries(names)) {
    const request = {
      transport: 'http',
      service: 'git-upload-pack',
      repository,
      headers: {},
      method: 'GET',
      uri: '/',
    }
    const headers = authorizer.requestHeaders({
      ...request,
      remoteAddress: undefined,
      knownAs: undefined,
    } as AccessRequest)
    t.equal(headers['x-refstream-repository'], encoded)
  }
  t.end()
})

const request: AccessRequest = {
  transport: 'http',
  service: 'git-upload-pack',
  repository: 'r.git',
  headers: { authorization: 'Basic x', 'x-real-ip': '10.9.9.9', other: 'o' },
  method: 'GET',
  uri: '/r.git/info/refs?service=git-upload-pack',
  remoteAddress: '192.0.2.1',
  knownAs: undefined,
}

type Serve = Parameters<typeof serveAuthorizer>[1]

async function connect(t: Test, serve: Serve, timeoutMs = 60_000) {
  const { url } = await serveAuthorizer(t, serve)
  const events: string[] = []
  const authorizer = new ExternalAuthorizer({
    url,
    timeoutMs,
    headers: ['authorization', 'x-real-ip'],
    userHeader: 'remote-user',
    answered: (result) => events.push(result),
    failed: (reason) => events.push(reason),
  })
  t.teardown(() => authorizer.close())
  return { authorizer, events }
}

t.test('the status of the response is the decision', async (t) => {
  const responses: [status: number, headers: Record<string, string | string[]>, decision: object | string][] =
    [
      [200, {}, { outcome: 'allowed', user: undefined }],
      [204, { 'Remote-User': 'alice' }, { outcome: 'allowed', user: 'alice' }],
      [401, {}, { outcome: 'unauthenticated', challenges: [] }],
      [401, { 'WWW-Authenticate': ['A', 'B'] }, { outcome: 'unauthenticated', challenges: ['A', 'B'] }],
      [302, { Location: '/login' }, { outcome: 'unauthenticated', challenges: [] }],
      [403, {}, { outcome: 'forbidden', challenges: [] }],
      [301, { Location: '/' }, 'authorization service unavailable: status 301'],
      [500, {}, 'authorization service unavailable: status 500'],
      [200, { 'Remote-User': ['a', 'b'] }, 'authorization service unavailable: bad user name'],
    ]
  for (const [status, headers, expected] of responses) {
    const { authorizer, events } = await connect(t, (_request, response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
      response.writeHead(status).end()
    })
    const decision = authorizer.decide(request)
    if (typeof expected === 'string') {
      await t.rejects(decision, { name: 'AuthorizerUnavailable', message: expected })
      t.same(events, ['failed', expected])
    } else {
      t.same(await decision, expected)
      t.same(events, [status < 300 ? 'allowed' : 'denied'])
    }
  }
})

t.test('no response in time, or no service, is an error', async (t) => {
  const silent = await connect(t, () => {}, 50)
  await t.rejects(silent.authorizer.decide(request), { message: /unavailable: no response in time$/ })
  const options = { url: 'http://127.0.0.1:1/', timeoutMs: 5000, headers: [], userHeader: 'remote-user' }
  const down = new ExternalAuthorizer(options)
  t.teardown(() => down.close())
  await t.rejects(down.decide(request), { message: /unavailable: ECONNREFUSED$/ })
})

t.test('configured headers are forwarded, but none that refstream sets itself', async (t) => {
  let received: NodeJS.Dict<string | string[]> = {}
  const { authorizer } = await connect(t, ({ headers }, response) => {
    received = headers
    response.end()
  })
  await authorizer.decide(request)
  t.match(received, {
    authorization: 'Basic x',
    'x-real-ip': '192.0.2.1',
    'x-forwarded-for': '192.0.2.1',
    'x-original-uri': request.uri,
    'x-forwarded-method': 'GET',
  })
  t.notOk('other' in received)
})

t.test('a connection that the service closes while idle is replaced', async (t) => {
  const answered = new WeakSet()
  const { url } = await serveAuthorizer(t, ({ socket }, response) => {
    // The service closes an idle connection just as the next request is sent.
    if (answered.has(socket)) socket.destroy()
    else response.end()
    answered.add(socket)
  })
  const authorizer = new ExternalAuthorizer({
    url,
    timeoutMs: 60_000,
    headers: [],
    userHeader: 'remote-user',
  })
  t.teardown(() => authorizer.close())
  await Promise.all([authorizer.decide(request), authorizer.decide(request)])
  t.match(await authorizer.decide(request), { outcome: 'allowed' })
})
