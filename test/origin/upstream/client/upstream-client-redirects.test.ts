import t, { type Test } from 'tap'
import type { IncomingHttpHeaders } from 'node:http'
import { RedirectRefused } from '../../../../src/origin/upstream/client/upstream-client.js'
import { bodyOf, createUpstreamClient, serve } from '../../../support/upstream-client.js'

interface Seen {
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

const tail = '/info/refs?service=git-upload-pack'

/** A server that redirects paths, and answers all others. */
async function redirecting(t: Test, redirects: Record<string, string>, status = 302) {
  const seen: Seen[] = []
  const url = await serve(t, ({ url: path, headers }, response) => {
    seen.push({ url: path!, headers })
    const location = redirects[path!]
    if (location === undefined) response.end(`answer to ${path}`)
    else response.writeHead(status, { Location: location }).end('moved')
  })
  return { url, seen, paths: () => seen.map((each) => each.url) }
}

const hostOf = (url: string): string => url.slice('http://'.length)

t.test('redirects of info/refs are followed, and the POST goes where they led', async (t) => {
  for (const status of [301, 302, 303, 307, 308]) {
    const { url, paths } = await redirecting(
      t,
      { [`/git/a${tail}`]: `/b${tail}`, [`/b${tail}`]: `../../c.git${tail}#x` },
      status,
    )
    const { ask } = createUpstreamClient(t, `${url}/git`)
    const response = await ask({ path: `/a${tail}`, followsRedirects: true })
    t.equal(String(await bodyOf(response)), `answer to /c.git${tail}`)
    t.equal(response.redirectedTo, `${url}/c.git${tail}`)
    t.equal(response.status, 200)
    const post = `${response.redirectedTo!.slice(0, -tail.length)}/git-upload-pack`
    t.equal(
      String(await bodyOf(await ask({ path: post, method: 'POST' }))),
      'answer to /c.git/git-upload-pack',
    )
    t.equal((await ask({ path: response.redirectedTo! })).status, 200)
    const before = paths().length
    for (const path of [`${url}/b/git-upload-pack`, `${url}/c.git/x`, `${url}/c.git/../d/git-upload-pack`])
      await t.rejects(ask({ path }), { name: 'InvalidUpstreamPath' }, path)
    t.equal(paths().length, before)
  }
})

t.test('redirects are not followed unless asked for, nor on other paths', async (t) => {
  const { url } = await redirecting(t, { [`/a${tail}`]: `/b${tail}`, '/a/HEAD': '/b/HEAD' })
  const { ask } = createUpstreamClient(t, url)
  for (const request of [
    { path: `/a${tail}`, class: 'pass' as const },
    { path: '/a/HEAD', followsRedirects: true },
  ]) {
    const response = await ask(request)
    t.match(response, { status: 302, redirectedTo: undefined })
    t.same(response.values('location'), [request.path.replace('/a', '/b')])
    t.equal(String(await bodyOf(response)), 'moved')
  }
})

t.test('at most five redirects are followed', async (t) => {
  const chain = (length: number) =>
    Object.fromEntries(Array.from({ length }, (_, index) => [`/${index}${tail}`, `/${index + 1}${tail}`]))
  const five = await redirecting(t, chain(5))
  const response = await createUpstreamClient(t, five.url).ask({ path: `/0${tail}`, followsRedirects: true })
  t.equal(response.redirectedTo, `${five.url}/5${tail}`)
  const six = await redirecting(t, chain(6))
  await t.rejects(createUpstreamClient(t, six.url).ask({ path: `/0${tail}`, followsRedirects: true }), {
    name: 'RedirectRefused',
    message: /redirects more than 5 times/,
  })
})

t.test('other hosts are followed to only if they are listed, and without credentials', async (t) => {
  const other = await redirecting(t, {})
  const { url } = await redirecting(t, { [`/a${tail}`]: `http://me:secret@${hostOf(other.url)}/b${tail}` })
  const request = {
    ...{ path: `/a${tail}`, followsRedirects: true },
    headers: { Authorization: 'Basic x', cookie: 'a=b', 'Git-Protocol': 'version=2' },
  }
  for (const redirectHosts of [undefined, [], ['127.0.0.1'], ['127.0.0.1:1']]) {
    const { ask } = createUpstreamClient(t, url, { redirectHosts })
    await t.rejects(ask(request), {
      name: 'RedirectRefused',
      message:
        /redirects to http:\/\/127.0.0.1:\d+\/b\/info\/refs, which is not followed: .* is not in upstream-redirect-hosts/,
    })
  }
  t.same(other.seen, [])
  const { ask } = createUpstreamClient(t, url, { redirectHosts: [hostOf(other.url)] })
  const { redirectedTo } = await ask(request)
  t.equal(redirectedTo, `${other.url}/b${tail}`)
  const post = `${other.url}/b/git-upload-pack`
  t.equal((await ask({ ...request, path: post, method: 'POST', followsRedirects: false })).status, 200)
  for (const { headers } of other.seen) {
    t.equal(headers['git-protocol'], 'version=2')
    t.equal(headers.authorization, undefined)
    t.equal(headers.cookie, undefined)
    t.equal(headers.host, hostOf(other.url))
  }
  t.equal(other.seen.length, 2)
})

t.test('a redirect that Git would not follow, or that is denied, is refused', async (t) => {
  const cases: [string, RegExp][] = [
    ['/login', /it does not end in \/info\/refs\?service=git-upload-pack/],
    ['/b/info/refs', /does not end in/],
    [`/b${tail}&x=1`, /does not end in/],
    ['ftp://127.0.0.1/b/info/refs', /no http or https URL/],
    ['http://[', /a place that is no URL/],
    [`http://10.0.0.1${tail}`, /connections to 10.0.0.1 are denied/],
    [`http://[::ffff:10.0.0.1]${tail}`, /connections to ::ffff:a00:1 are denied/],
  ]
  for (const [location, message] of cases) {
    const { url, seen } = await redirecting(t, { [`/a${tail}`]: location })
    const redirectHosts = ['10.0.0.1', '[::ffff:a00:1]']
    const { ask } = createUpstreamClient(t, url, { redirectHosts, deny: ['private'] })
    const refused = ask({ path: `/a${tail}`, followsRedirects: true })
    await t.rejects(refused, { name: 'RedirectRefused', message })
    await t.rejects(refused, RedirectRefused)
    t.equal(seen.length, 1)
  }
})
