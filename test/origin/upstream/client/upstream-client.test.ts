import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidUpstreamPath } from '../../../../src/origin/upstream/client/upstream-client.js'
import { eventually } from '../../../support/eventually.js'
import {
  behindProxy,
  bodyOf,
  createUpstreamClient,
  serve,
  userAgent,
} from '../../../support/upstream-client.js'

t.test('a request reaches the configured URL, and its response comes back as it was', async (t) => {
  const url = await serve(t, (request, response) => {
    response.writeHead(203, 'Odd', [
      ...['WWW-Authenticate', 'Basic realm="a"', 'X-Odd', 'näh', 'WWW-Authenticate', 'Bearer'],
      ...['Connection', 'x-secret, keep-alive', 'X-Secret', '1', 'Keep-Alive', 'timeout=7'],
      ...['Proxy-Authenticate', 'Basic', 'Trailer', 'X-Late', 'Transfer-Encoding', 'chunked'],
    ])
    response.end(JSON.stringify({ url: request.url, headers: request.headers }))
  })
  const { ask } = createUpstreamClient(t, `${url}/git/`)
  const response = await ask({
    path: "/a%20b/info/refs?service=git-upload-pack&q='",
    headers: {
      ...{ 'Git-Protocol': 'version=2', Accept: ['a', 'b'], Authorization: 'Basic x', Host: 'other' },
      ...{
        Connection: 'X-Mine',
        'X-Mine': '1',
        TE: 'trailers',
        Expect: '100-continue',
        'User-Agent': 'curl',
      },
    },
  })
  t.match(response, { status: 203, statusText: 'Odd', redirectedTo: undefined })
  const named = response.headers.filter((_, index) => response.headers[index - (index % 2)] !== 'Date')
  t.same(named, [...['WWW-Authenticate', 'Basic realm="a"', 'X-Odd', 'näh', 'WWW-Authenticate', 'Bearer']])
  t.same(response.values('www-authenticate'), ['Basic realm="a"', 'Bearer'])
  const { headers, ...rest } = JSON.parse(String(await bodyOf(response))) as Record<string, unknown>
  t.same(rest, { url: "/git/a%20b/info/refs?service=git-upload-pack&q='" })
  t.same(headers, {
    host: url.slice('http://'.length),
    connection: 'keep-alive',
    'user-agent': userAgent,
    'git-protocol': 'version=2',
    accept: 'a, b',
    authorization: 'Basic x',
  })
})

t.test('no path leads outside the configured URL', async (t) => {
  let requests = 0
  const url = await serve(t, (_, response) => {
    requests++
    response.end()
  })
  const { ask } = createUpstreamClient(t, `${url}/git`)
  const bad = [
    ...['//other.example/x', '/../x', '/a/..', '/a/%2e%2E/x', '/a/.%2e/x', '/a/..%2f..%2fx', '/a/..%5Cx'],
    ...['http://other.example/repo/info/refs', `${url}/x/info/refs`, '@other.example/', ':1/', '', 'a', '?x'],
    ...[
      '/a\\..\\x',
      '/a b',
      '/a\r\nHost: x',
      '/a#b',
      '/ä',
      `/${'a'.repeat(20_000)}`,
      '/./x',
      '*',
      '.example/x',
    ],
  ]
  for (const path of bad) await t.rejects(ask({ path }), InvalidUpstreamPath, path.slice(0, 50))
  t.equal(requests, 0)
  for (const path of ['/a//b', '/a..b/...', '/a%2Fb', '/x?y=../..', '/x?', '/~a'])
    await bodyOf(await ask({ path }))
  t.equal(requests, 6)
})

t.test('a bad URL, a denied address and too few connections are refused at the start', (t) => {
  for (const url of ['ftp://host', 'http://u:p@host', 'http://host/?a', 'http://host/#a', 'host'])
    t.throws(() => createUpstreamClient(t, url), TypeError, url)
  t.throws(() => createUpstreamClient(t, 'http://host', { connections: 2 }), RangeError)
  t.throws(() => createUpstreamClient(t, 'http://2130706433/', { deny: ['loopback'] }), {
    name: 'AddressDenied',
  })
  t.throws(() => createUpstreamClient(t, 'http://host', { deny: ['10.0.0.0/33'] }), RangeError)
  t.end()
})

t.test('connections are capped, reused, and kept for each class', async (t) => {
  const held: (() => void)[] = []
  const proxy = await behindProxy(t, (request, response) => {
    request.resume()
    held.push(() => response.end('x'.repeat(100_000)))
  })
  const open: number[] = []
  const events = { connectionsChanged: (count: number) => open.push(count) }
  const { ask, client } = createUpstreamClient(t, proxy.url, { events })
  const all = Array.from({ length: 20 }, (_, index) =>
    ask({ class: (['fill', 'pack', 'pass'] as const)[index % 3]!, group: String(index) }).then(bodyOf),
  )
  for (let served = 0; served < 20; served++) {
    await eventually('a request comes', () => held.length > 0)
    held.shift()!()
  }
  t.same(
    (await Promise.all(all)).map(({ length }) => length),
    all.map(() => 100_000),
  )
  t.equal(proxy.running.most, 4)
  t.equal(proxy.connections.most, 4)
  t.ok(proxy.connections.accepted <= 5, 'connections are reused')
  t.equal(Math.max(...open), 4)
  await client.close()
  await eventually('none is open', () => open.at(-1) === 0)
})

t.test('a permit is free when the response is whole, destroyed, or never read', async (t) => {
  const url = await serve(t, (request, response) => {
    if (request.url === '/long') response.write('x'.repeat(1_000_000))
    else if (request.url === '/empty') response.writeHead(304).end()
    else response.end('short')
  })
  const { ask } = createUpstreamClient(t, url, { connections: 3, queue: { queueMax: 0, waitMs: 1 } })
  for (let count = 0; count < 10; count++) {
    for (const path of ['/long', '/empty', '/short']) {
      const { body } = await ask({ path, class: 'pass' })
      if (path === '/long') body.destroy()
      else await sleep(5)
    }
  }
  t.pass()
})

t.test('what finds no connection is queued, and shed late; admitted packs never are', async (t) => {
  const held: (() => void)[] = []
  const url = await serve(t, (_, response) => held.push(() => response.end('done')))
  const { ask } = createUpstreamClient(t, url, { connections: 3, queue: { queueMax: 1, waitMs: 60_000 } })
  const pack = (admitted: boolean) => ask({ path: '/x/git-upload-pack', class: 'pack', admitted })
  const running = pack(false)
  await eventually('it runs', () => held.length === 1)
  const queued = pack(false)
  await t.rejects(pack(false), { name: 'Overloaded', reason: 'queue-full' })
  const admitted = Array.from({ length: 20 }, () => pack(true))
  const aborted = new AbortController()
  const waiting = ask({ class: 'pack', admitted: true, signal: aborted.signal })
  aborted.abort(new Error('the client has gone'))
  await t.rejects(waiting, { message: 'the client has gone' })
  const all = [running, queued, ...admitted]
  for (let served = 0; served < all.length; served++) {
    await eventually('a request comes', () => held.length > 0)
    held.shift()!()
  }
  for (const each of all) t.equal(String(await bodyOf(await each)), 'done')
})
