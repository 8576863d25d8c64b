import t from 'tap'
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { serveAuthorizer } from '../support/authorizer.js'
import { run } from '../support/hooked.js'
import { GrpcClient } from '../support/grpc-client.js'
import { ask, infoRefs } from '../support/http-client.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** The authorizer shares the processor with other tests and may be slow. */
const patient = ['--auth-timeout-seconds', '60']

const authorization = `Basic ${Buffer.from('alice:secret').toString('base64')}`

interface Said {
  readonly status: number
  readonly headers?: Record<string, string>
}

/** How a product's authorizer answers a request; it refuses one that lacks what its documentation requires. */
interface Product {
  readonly userHeader: string
  readonly answer: (headers: IncomingHttpHeaders) => Said
}

const isUrl = (text: unknown): boolean =>
  /^https:\/\/git\.example\.com\/r\.git\/info\/refs\?/.test(String(text))
const knows = (headers: IncomingHttpHeaders): boolean => headers.authorization === authorization

/** The URL in the headers of Traefik's ForwardAuth; Authelia accepts https only. */
const forwarded = (headers: IncomingHttpHeaders): string =>
  `${headers['x-forwarded-proto']}://${headers['x-forwarded-host']}${headers['x-forwarded-uri']}`
const isForwardAuth = (headers: IncomingHttpHeaders): boolean =>
  headers['x-forwarded-method'] === 'GET' &&
  isUrl(forwarded(headers)) &&
  headers['x-forwarded-for'] !== undefined

const products: Record<string, Product> = {
  'Authelia, ForwardAuth': {
    userHeader: 'Remote-User',
    answer: (headers) => {
      // It takes the first address for the client's.
      if (!isForwardAuth(headers) || !/^203\.0\.113\.9(,|$)/.test(String(headers['x-forwarded-for'])))
        return { status: 400 }
      if (knows(headers)) return { status: 200, headers: { 'Remote-User': 'alice' } }
      return {
        status: 302,
        headers: { Location: `https://auth.example.com/?rd=${forwarded(headers)}&rm=GET` },
      }
    },
  },
  'Authelia, AuthRequest': {
    userHeader: 'Remote-User',
    answer: (headers) => {
      if (!isUrl(headers['x-original-url']) || headers['x-original-method'] !== 'GET') return { status: 400 }
      if (knows(headers)) return { status: 200, headers: { 'Remote-User': 'alice' } }
      return { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="Authorization Required"' } }
    },
  },
  'authentik, Traefik': {
    userHeader: 'X-authentik-username',
    answer: (headers) => {
      // The host names the application.
      if (headers['x-forwarded-host'] !== 'git.example.com' || !isForwardAuth(headers)) return { status: 404 }
      if (knows(headers)) return { status: 200, headers: { 'X-authentik-username': 'alice' } }
      return { status: 302, headers: { Location: 'https://git.example.com/outpost.goauthentik.io/start' } }
    },
  },
  'authentik, nginx': {
    userHeader: 'X-authentik-username',
    answer: (headers) => {
      if (!isUrl(headers['x-original-url'])) return { status: 500 }
      if (knows(headers)) return { status: 200, headers: { 'X-authentik-username': 'alice' } }
      return { status: 401 }
    },
  },
  'oauth2-proxy, auth': {
    userHeader: 'X-Auth-Request-User',
    answer: (headers) => {
      if (headers['x-real-ip'] !== '203.0.113.9' || !headers['x-forwarded-uri']) return { status: 500 }
      if (knows(headers)) return { status: 202, headers: { 'X-Auth-Request-User': 'alice' } }
      return { status: 401 }
    },
  },
  'oauth2-proxy, as upstream of ForwardAuth': {
    userHeader: 'X-Auth-Request-User',
    answer: (headers) => {
      if (!isForwardAuth(headers)) return { status: 500 }
      if (knows(headers)) return { status: 200, headers: { 'X-Auth-Request-User': 'alice' } }
      return { status: 307, headers: { Location: 'https://login.example.com/authorize?client_id=x' } }
    },
  },
}

/** Headers that a proxy in front adds for a client. */
const proxied = {
  'X-Forwarded-For': '10.66.66.66, 203.0.113.9',
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'git.example.com',
}

for (const [name, { userHeader, answer }] of Object.entries(products)) {
  t.test(`${name} decides`, async (t) => {
    const root = realpathSync(tempDir(t))
    makeRepository(root, 'r.git')
    const { url } = await serveAuthorizer(t, ({ headers }, response) => {
      const { status, headers: said = {} } = answer(headers)
      response.writeHead(status, said).end()
    })
    const sidecar = await startSidecar(t, root, {
      args: [
        ...[...patient, '--auth-url', url, '--auth-user-header', userHeader],
        ...['--trusted-proxies', '127.0.0.1,10.0.0.0/8'],
      ],
    })
    const get = (headers: Record<string, string>) =>
      ask(infoRefs(sidecar.url, 'r.git', 'git-receive-pack'), { headers: { ...proxied, ...headers } })
    t.equal(
      (await get({ Authorization: authorization })).status,
      200,
      'the user has a name, so Git allows a push',
    )
    const unknown = await get({})
    t.equal(unknown.status, 401)
    t.match(unknown.headers['www-authenticate'], /^Basic realm="/, 'Git asks for a password')
    t.equal(unknown.headers.location, undefined)
  })
}

t.test('Git asks for a password where a browser would go to a login page', async (t) => {
  const root = realpathSync(tempDir(t))
  const work = tempDir(t)
  makeRepository(root, 'r.git')
  const { url, asked } = await serveAuthorizer(t, ({ headers }, response) => {
    if (knows(headers)) response.end()
    else response.writeHead(302, { Location: 'https://auth.example.com/' }).end()
  })
  const sidecar = await startSidecar(t, root, { args: [...patient, '--auth-url', url] })
  const host = sidecar.url.slice('http://'.length)
  const client = (...args: string[]) =>
    run({ cwd: work, environment: { ...gitEnvironment, HOME: work } }, 'git', ...args)
  t.same(await client('clone', '-q', `http://alice:secret@${host}/r.git`, join(work, 'r')), {
    status: 0,
    output: '',
  })
  t.match((await client('ls-remote', `http://${host}/r.git`)).output, /terminal prompts disabled/)
  t.match((await client('ls-remote', `http://alice:x@${host}/r.git`)).output, /Authentication failed/)
  t.ok(asked.length >= 3)
})

t.test('forwarded headers count only from a trusted proxy, over every transport', async (t) => {
  const root = realpathSync(tempDir(t))
  makeRepository(root, 'r.git')
  const { url, asked } = await serveAuthorizer(t, (_, response) => void response.end())
  const headers = { ...proxied, Forwarded: 'for=198.51.100.7', 'X-Real-IP': '198.51.100.7', Host: 'here:80' }
  const names = Object.keys(proxied).join()
  for (const trusted of [
    [],
    ['--trusted-proxies', '192.0.2.0/24,unix'],
    ['--trusted-proxies', '127.0.0.0/8'],
  ]) {
    const sidecar = await startSidecar(t, root, {
      args: [
        ...patient,
        ...['--auth-url', url, '--grpc', '127.0.0.1:0', ...trusted],
        ...['--auth-forward-headers', `${names},X-Real-IP,X-Original-URL,X-Forwarded-Uri`],
      ],
    })
    const believed = trusted[1]?.startsWith('127') ?? false
    const received = async (work: () => Promise<unknown>): Promise<IncomingHttpHeaders> => {
      await work()
      return asked.at(-1)!.headers
    }
    const http = await received(() =>
      ask(infoRefs(sidecar.url, 'r.git'), {
        headers: { ...headers, 'X-Original-URL': 'https://evil/', 'X-Forwarded-Uri': '/evil' },
      }),
    )
    const uri = '/r.git/info/refs?service=git-upload-pack'
    t.match(http, {
      'x-forwarded-for': believed ? '203.0.113.9, 127.0.0.1' : '127.0.0.1',
      'x-real-ip': believed ? '203.0.113.9' : '127.0.0.1',
      'x-forwarded-proto': believed ? 'https' : 'http',
      'x-forwarded-host': believed ? 'git.example.com' : 'here:80',
      'x-forwarded-uri': uri,
      'x-original-url': believed ? `https://git.example.com${uri}` : `http://here:80${uri}`,
      'x-original-uri': uri,
    })
    const metadata = Object.fromEntries(
      Object.entries(proxied).map(([key, value]) => [key.toLowerCase(), value]),
    )
    const client = new GrpcClient(t, sidecar.grpcTarget, 'refstream.v1.RefService', {}, { metadata })
    const grpc = await received(() => client.bytes('Advertise', { repository: 'r.git' }))
    t.match(grpc, {
      'x-forwarded-for': believed ? '203.0.113.9, 127.0.0.1' : '127.0.0.1',
      'x-forwarded-proto': believed ? 'https' : 'http',
      'x-forwarded-host': believed ? 'git.example.com' : sidecar.grpcTarget,
      'x-forwarded-uri': '/refstream.v1.RefService/Advertise',
      'x-forwarded-method': 'POST',
    })
  }
})

t.test('decisions are cached per user and request', async (t) => {
  const root = realpathSync(tempDir(t))
  makeRepository(root, 'r.git')
  const { url, asked } = await serveAuthorizer(t, ({ headers }, response) => {
    const known = headers['x-forwarded-host'] === 'git.example.com' && headers['x-real-ip'] === '203.0.113.9'
    response.writeHead(known ? 200 : 403).end()
  })
  const sidecar = await startSidecar(t, root, {
    args: [...patient, '--auth-url', url, '--auth-cache-seconds', '3600', '--trusted-proxies', '127.0.0.1'],
  })
  const status = async (more: Record<string, string>): Promise<number> =>
    (await ask(infoRefs(sidecar.url, 'r.git'), { headers: { ...proxied, ...more } })).status
  for (let round = 0; round < 2; round++) {
    t.equal(await status({}), 200)
    t.equal(await status({ 'X-Forwarded-Host': 'other.example.com' }), 403)
    t.equal(await status({ 'X-Forwarded-For': '203.0.113.8' }), 403)
    t.equal(
      await status({ 'X-Forwarded-For': '198.51.100.1, 203.0.113.9' }),
      200,
      'its own forwarded headers are dropped',
    )
  }
  t.equal(asked.length, 3)
})

t.test('Git’s REMOTE_ADDR is the client’s address', async (t) => {
  const root = realpathSync(tempDir(t))
  const work = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'config', 'http.receivepack', 'true')
  const addressFile = join(work, 'address')
  const hook = join(repository, 'hooks', 'pre-receive')
  mkdirSync(join(repository, 'hooks'), { recursive: true })
  writeFileSync(hook, `#!/bin/sh\nprintf %s "$REMOTE_ADDR" > '${addressFile}'\n`, { mode: 0o755 })
  for (const [trusted, address] of [
    ['192.0.2.1', '127.0.0.1'],
    ['127.0.0.1', '2001:db8::9'],
  ] as const) {
    const sidecar = await startSidecar(t, root, { args: ['--trusted-proxies', trusted] })
    const header = 'http.extraHeader=X-Forwarded-For: 10.6.6.6, [2001:DB8:0::9]:1234'
    const url = `${sidecar.url}/r.git`
    const pushed = await run(
      { cwd: repository, environment: { ...gitEnvironment, HOME: work } },
      ...['git', '-c', header, 'push', '-q', url, `main:refs/heads/${trusted}`],
    )
    t.same(pushed, { status: 0, output: '' })
    t.equal(readFileSync(addressFile, 'utf8'), address)
  }
})
