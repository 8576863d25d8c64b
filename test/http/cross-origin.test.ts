import t, { type Test } from 'tap'
import { Readable } from 'node:stream'
import { CrossOrigin } from '../../src/http/cross-origin.js'
import type { OriginResponse } from '../../src/origin/pass-through.js'
import { openServer, originResponse } from '../support/fake-origin-server.js'
import { ask } from '../support/http-client.js'

const page = 'https://app.example.com'
const preflight = {
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization,content-type,git-protocol',
}

/** Opens a server that allows these origins. @returns asks it, and how often it was asked for an answer */
async function open(t: Test, origins: string[] | undefined, answer: Partial<OriginResponse> = {}) {
  let passed = 0
  const pass = async () => {
    passed++
    return originResponse({ body: Readable.from([Buffer.from('body')]), ...answer })
  }
  const crossOrigin = origins && new CrossOrigin(origins, 'GET, HEAD, POST')
  const { url, metrics } = await openServer(t, {
    origin: { passThrough: pass, mutate: pass } as never,
    ...{ crossOrigin },
  })
  const get = (headers: Record<string, string> = {}, method = 'GET') =>
    ask(`${url}/a.git/HEAD`, { headers, method })
  return { get, metrics, passed: () => passed }
}

const allowance = (headers: NodeJS.Dict<string | string[]>) => ({
  origin: headers['access-control-allow-origin'],
  credentials: headers['access-control-allow-credentials'],
  vary: headers['vary'],
})
const nothing = { origin: undefined, credentials: undefined, vary: undefined }

t.test('a page of a listed origin reads answers, with what its browser holds for this host', async (t) => {
  const { get } = await open(t, [page])
  const { status, headers, body } = await get({ origin: page })
  t.equal(status, 200)
  t.equal(body.toString(), 'body')
  t.same(allowance(headers), { origin: page, credentials: 'true', vary: 'Origin' })
  t.match(headers['access-control-expose-headers'], /\bRetry-After, WWW-Authenticate$/)
})

t.test('a page of another origin does not, nor does one whose origin looks similar', async (t) => {
  const { get } = await open(t, [page])
  for (const origin of ['https://app.example.com.evil.net', 'http://app.example.com', `${page}:8443`, 'null'])
    t.same(allowance((await get({ origin })).headers), { ...nothing, vary: 'Origin' }, origin)
  const { headers } = await get()
  t.same(allowance(headers), { ...nothing, vary: 'Origin' }, 'a cache must know that answers differ')
})

t.test('* allows any page, without what its browser holds for this host', async (t) => {
  const { get } = await open(t, ['*'])
  t.same(allowance((await get({ origin: page })).headers), { ...nothing, origin: '*' })
  t.same(allowance((await get()).headers), nothing)
  const both = await open(t, ['*', page])
  const answers = [await both.get({ origin: page }), await both.get({ origin: 'https://x.example' })]
  t.same(
    answers.map(({ headers }) => allowance(headers)),
    [
      { origin: page, credentials: 'true', vary: 'Origin' },
      { origin: '*', credentials: undefined, vary: 'Origin' },
    ],
  )
})

t.test('a preflight is answered without asking the origin', async (t) => {
  const { get, metrics, passed } = await open(t, [page])
  const { status, headers, body } = await get({ origin: page, ...preflight }, 'OPTIONS')
  t.equal(status, 204)
  t.equal(body.length, 0)
  t.same(allowance(headers), { origin: page, credentials: 'true', vary: 'Origin' })
  t.equal(headers['access-control-allow-methods'], 'GET, HEAD, POST')
  for (const name of ['Authorization', 'Content-Type', 'Git-Protocol'])
    t.ok(headers['access-control-allow-headers']?.split(', ').includes(name), name)
  t.equal(headers['access-control-max-age'], '7200')

  const refused = await get({ origin: 'https://x.example', ...preflight }, 'OPTIONS')
  t.equal(refused.status, 403)
  t.same(allowance(refused.headers), { ...nothing, vary: 'Origin' })
  t.equal(refused.body.toString(), 'refstream: the origin of this page is not among --cors-origins\n')
  t.equal(passed(), 0)
  const { values } = await metrics.requests.get()
  t.same(values.map(({ labels }) => labels.outcome).sort(), ['forbidden', 'preflight'])

  t.equal((await get({ origin: page }, 'OPTIONS')).status, 200, 'an OPTIONS that is no preflight')
  t.equal(passed(), 1)
})

t.test('errors can be read too', async (t) => {
  const { get } = await open(t, [page], {
    get body(): never {
      throw new Error('it fails')
    },
  })
  const { status, headers } = await get({ origin: page })
  t.equal(status, 500)
  t.same(allowance(headers), { origin: page, credentials: 'true', vary: 'Origin' })
})

t.test('what another server allows does not count', async (t) => {
  const headers = ['access-control-allow-origin', '*', 'Vary', 'Accept', 'X-Own', 'access-control-x']
  const { get } = await open(t, [page], { headers })
  const answer = await get({ origin: page })
  t.same(allowance(answer.headers), { origin: page, credentials: 'true', vary: 'Accept, Origin' })
  t.equal(answer.headers['x-own'], 'access-control-x')
  t.same(allowance((await get({ origin: 'https://x.example' })).headers), {
    ...nothing,
    vary: 'Accept, Origin',
  })
  for (const vary of ['Accept, origin', '*']) {
    const same = await open(t, [page], { headers: ['vary', vary] })
    t.equal((await same.get()).headers.vary, vary)
  }
})

t.test('without the setting nothing is added, and nothing is taken away', async (t) => {
  const { get, passed } = await open(t, undefined, { headers: ['Access-Control-Allow-Origin', 'x'] })
  t.same(allowance((await get({ origin: page })).headers), { ...nothing, origin: 'x' })
  await get({ origin: page, ...preflight }, 'OPTIONS')
  t.equal(passed(), 2)
})
