import t, { type Test } from 'tap'
import type { HttpServerOptions } from '../../src/http/server.js'
import { openServer, originResponse } from '../support/fake-origin-server.js'
import { ask, type Ask } from '../support/http-client.js'

const batch: Ask = { method: 'POST', body: '{"operation":"download"}' }

async function open(t: Test, options: Partial<HttpServerOptions>) {
  const passed: (string | undefined)[] = []
  const passThrough = async (_: unknown, { uri }: { uri: string }) => {
    passed.push(uri)
    return originResponse()
  }
  const { url, metrics } = await openServer(t, { origin: { passThrough } as never, ...options })
  const outcomes = async () =>
    (await metrics.requests.get()).values.map(({ labels: { kind, outcome } }) => `${kind} ${outcome}`)
  return { url, outcomes, passed }
}

t.test('LFS is redirected with path, query and method to the server that has it', async (t) => {
  const { url, outcomes, passed } = await open(t, { anyTarget: true, lfsRedirect: 'https://lfs.example/x' })
  for (const [path, method] of [
    ['/team/a.git/info/lfs/objects/batch', 'POST'],
    ['/a.git/info/lfs/locks?path=a%20b', 'GET'],
    ['/a.git/info/lfs', 'GET'],
    ['//evil.example/info/lfs/locks', 'POST'],
  ] as const) {
    const { status, headers, body } = await ask(url + path, { method, ...(method === 'POST' && batch) })
    t.equal(status, 307)
    t.equal(headers.location, `https://lfs.example/x${path}`)
    t.match(headers['cache-control'], /no-cache/)
    t.equal(body.length, 0)
  }
  t.same(await outcomes(), ['pass redirected'])
  t.equal((await ask(`${url}/a.git/info/lfsx`)).status, 200, 'what is not LFS')
  t.equal((await ask(`${url}/a.git/HEAD?/info/lfs/x`)).status, 200, 'nor a query')
  t.equal(passed.length, 2)
})

t.test('without such a server, an LFS client gets an error that it can show', async (t) => {
  const { url, outcomes, passed } = await open(t, { anyTarget: false })
  const { status, headers, body } = await ask(`${url}/a.git/info/lfs/objects/batch`, batch)
  t.equal(status, 404)
  t.equal(headers['content-type'], 'application/vnd.git-lfs+json')
  t.match(JSON.parse(body.toString()), { message: /this server has no LFS objects; .*--lfs-redirect/ })
  t.same(await outcomes(), ['pass not_found'])
  t.same(passed, [])
})

t.test('another server behind answers itself', async (t) => {
  const { url, passed } = await open(t, { anyTarget: true })
  t.equal((await ask(`${url}/a.git/info/lfs/objects/1`, { method: 'PUT', body: 'x' })).status, 200)
  t.same(passed, ['/a.git/info/lfs/objects/1'])
})
