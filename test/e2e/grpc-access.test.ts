import t from 'tap'
import type { Test } from 'tap'
import { hashSync } from 'bcryptjs'
import fc from 'fast-check'
import { once } from 'node:events'
import { realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { serveAuthorizer } from '../support/authorizer.js'
import { contents } from '../support/contents.js'
import { eventually } from '../support/eventually.js'
import { errorOf, GrpcClient } from '../support/grpc-client.js'
import { ask, infoRefs } from '../support/http-client.js'
import { git, makeRepository } from '../support/repositories.js'
import { sha256 } from '../support/sha256.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** The authorizer shares the processor with other tests and may be slow. */
const patient = ['--auth-timeout-seconds', '60']

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
const secrets = { token: 'tok-5up3rs3cret', admin: 'adm-5up3rs3cret', password: 'pass-5up3rs3cret' }
const wrong = 'wrong-5up3rs3cret'
/** Matches each secret, as it is or in base64 at any offset. */
const secret = new RegExp(
  ['5up3rs3cret', ...['5up3rs3cr', 'up3rs3cre', 'p3rs3cret'].map((part) => btoa(part))].join('|'),
)

const metadata = (authorization: string | undefined) => (authorization === undefined ? {} : { authorization })

/** What HTTP and gRPC answer to a read: `OK`, or the name of gRPC's status. */
const words: Record<number, string> = {
  200: 'OK',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  503: 'UNAVAILABLE',
}

interface Said {
  readonly word: string | undefined
  readonly text: string
}

/** Ways to read a repository, by transport. */
function readers(t: Test, { url, grpcTarget }: { url: string; grpcTarget: string }) {
  const clients = new Map<string, GrpcClient>()
  const client = (service: string, authorization: string | undefined): GrpcClient => {
    const key = `${service} ${authorization}`
    const known = clients.get(key)
    if (known) return known
    // One connection for all: the metadata alone says from whom a call comes.
    const shared = { 'grpc.use_local_subchannel_pool': 0 }
    const made = new GrpcClient(t, grpcTarget, service, shared, { metadata: metadata(authorization) })
    clients.set(key, made)
    return made
  }
  const call = (service: string, method: string, authorization: string | undefined, request: object) =>
    client(service, authorization)
      .bytes(method, request)
      .then((bytes) => ({ word: 'OK', text: bytes.toString() }))
      .catch((error: unknown) => {
        const { code, details, metadata } = error as Awaited<ReturnType<typeof errorOf>>
        return { word: status[code], text: JSON.stringify([details, Object.keys(metadata.getMap())]) }
      })
  return {
    http: async (authorization: string | undefined, path: string): Promise<Said> => {
      const { status, body } = await ask(infoRefs(url, path), { headers: metadata(authorization) })
      return { word: words[status], text: body.toString() }
    },
    grpc: (authorization: string | undefined, path: string): Promise<Said> =>
      call('refstream.v1.RefService', 'Advertise', authorization, { repository: path }),
    gitaly: (authorization: string | undefined, path: string): Promise<Said> => {
      const repository = { storageName: 'default', relativePath: path }
      return call('gitaly.SmartHTTPService', 'InfoRefsUploadPack', authorization, { repository })
    },
  }
}

/** Makes a repository whose advertisement contains its name. */
const makeNamed = (root: string, name: string): string => {
  const repository = makeRepository(root, `${name}.git`)
  git(repository, 'update-ref', `refs/heads/only-in-${name}`, 'main')
  return repository
}
const namesIn = (text: string): string[] => [...new Set(text.match(/(?<=only-in-)\w+/g))]

t.test('transports × credentials × repositories agree, and no credentials are kept', async (t) => {
  const root = realpathSync(tempDir(t))
  const directory = tempDir(t)
  for (const name of ['open', 'secret', 'other']) makeNamed(root, name)
  symlinkSync('secret.git', join(root, 'open-link.git'))
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  const tokens = file('tokens', `robot:${sha256(secrets.token)}\n`)
  const htpasswd = file('htpasswd', `alice:${hashSync(secrets.password, 4)}\nbob:${hashSync('b', 4)}\n`)
  const admins = file('admins', `ops:${sha256(secrets.admin)}\n`)
  const sidecar = await startSidecar(t, root, {
    args: [
      ...['--grpc', '127.0.0.1:0', '--log-level', 'trace', '--admin-token-file', admins],
      ...['--auth-tokens', tokens, '--auth-htpasswd', htpasswd],
      ...['--access', 'open*=read:anyone, secret*=read:alice, hidden*=read:alice, **=read:*'],
    ],
  })
  const transports = readers(t, sidecar)
  const users = {
    nobody: [undefined, undefined],
    alice: [basic('alice', secrets.password), 'alice'],
    bob: [basic('bob', 'b'), 'bob'],
    robot: [`Bearer ${secrets.token}`, 'robot'],
    'robot as Git sends it': [basic('x', secrets.token), 'robot'],
    'alice with bob’s password': [basic('alice', 'b'), 'wrong'],
    'bob with alice’s password': [basic('bob', secrets.password), 'wrong'],
    'an unknown token': [`Bearer ${wrong}`, 'wrong'],
    'an admin token': [`Bearer ${secrets.admin}`, 'wrong'],
    'another scheme': [`Negotiate ${secrets.token}`, 'wrong'],
    'no scheme': [secrets.token, 'wrong'],
  } as const
  /** Whether the repository exists, and who may read it. */
  const repositories = {
    'open.git': ['open', () => true],
    'open-none.git': [undefined, () => true],
    'secret.git': ['secret', (user?: string) => user === 'alice'],
    secret: ['secret', (user?: string) => user === 'alice'],
    'open-link.git': ['secret', (user?: string) => user === 'alice'],
    'hidden.git': [undefined, (user?: string) => user === 'alice'],
    'other.git': ['other', (user?: string) => user !== undefined],
    'none.git': [undefined, (user?: string) => user !== undefined],
  } as const
  const texts = new Map<string, Set<string>>()
  for (const [who, [authorization, user]] of Object.entries(users))
    for (const [path, [name, may]] of Object.entries(repositories)) {
      const refusal = user === undefined ? 'UNAUTHENTICATED' : 'PERMISSION_DENIED'
      const allowed = name === undefined ? 'NOT_FOUND' : 'OK'
      const word = user === 'wrong' ? 'UNAUTHENTICATED' : may(user) ? allowed : refusal
      for (const [transport, read] of Object.entries(transports)) {
        const said = await read(authorization, path)
        t.equal(said.word, word, [transport, who, path].join(', '))
        t.same(namesIn(said.text), word === 'OK' ? [name] : [])
        if (word === 'OK') continue
        t.notMatch(said.text, secret)
        // Missing credentials and wrong ones have different texts.
        const key = `${transport} ${word} ${user === 'wrong' ? 'wrong' : 'none'}`
        texts.set(key, (texts.get(key) ?? new Set()).add(said.text))
      }
    }
  for (const [key, said] of texts)
    t.equal(said.size, 1, `${key}: one text, whether the repository exists or not`)

  const admin = (service: string, authorization: string | undefined) =>
    new GrpcClient(
      t,
      sidecar.grpcTarget,
      `refstream.v1.${service}`,
      {},
      { metadata: metadata(authorization) },
    )
  const repository = 'other.git'
  const calls = (authorization: string | undefined, id: unknown) => {
    const [leases, cache] = [admin('LeaseService', authorization), admin('CacheService', authorization)]
    return {
      Acquire: () => leases.unary('Acquire', { repository, ttl: { seconds: 60 } }),
      Renew: () => leases.unary('Renew', { id }),
      Release: () => leases.unary('Release', { id }),
      // It ends when the sidecar does.
      Hold: () =>
        once(
          leases.stream('Hold', { repository }).on('error', () => {}),
          'data',
        ),
      Invalidate: () => cache.unary('Invalidate', { repository }),
      Stat: () => cache.unary('Stat', { repository }),
    }
  }
  const opsBearer = `Bearer ${secrets.admin}`
  const lease = (await calls(opsBearer, undefined).Acquire()) as Record<string, unknown>
  for (const authorization of [
    ...[undefined, `Bearer ${wrong}`, `Bearer ${secrets.token}`],
    ...[basic('alice', secrets.password), basic('ops', secrets.admin)],
  ]) {
    for (const [method, call] of Object.entries(calls(authorization, lease['id']))) {
      const { code, details } = await errorOf(call())
      t.equal(status[code], 'UNAUTHENTICATED', `${method} ${authorization}`)
      t.notMatch(details, secret)
    }
  }
  const ops = calls(opsBearer, lease['id'])
  for (const method of ['Renew', 'Release', 'Hold', 'Invalidate', 'Stat'] as const) await ops[method]()

  writeFileSync(admins, `ops:${sha256('another')}\n`)
  writeFileSync(tokens, `robot:${sha256('another')}\n`)
  process.kill(sidecar.pid, 'SIGHUP')
  await eventually('the file is read again', () =>
    ['admin-tokens', 'auth-tokens'].every((each) => sidecar.log.some(({ what }) => what === each)),
  )
  t.equal(status[(await errorOf(ops.Stat())).code], 'UNAUTHENTICATED', 'a revoked token')
  t.equal((await transports.grpc(`Bearer ${secrets.token}`, repository)).word, 'UNAUTHENTICATED')
  t.equal((await transports.grpc('Bearer another', repository)).word, 'OK')

  const metrics = await ask(`${sidecar.adminUrl}/metrics`, { headers: { Authorization: 'Bearer another' } })
  const counted = metrics.body.toString()
  for (const outcome of ['unauthenticated', 'forbidden', 'not_found', 'hit']) {
    t.match(counted, new RegExp(`requests_total\\{transport="grpc",[^}]*outcome="${outcome}"`))
  }
  t.ok(sidecar.log.some(({ transport, outcome }) => transport === 'grpc' && outcome === 'forbidden'))
  const kept = [JSON.stringify(sidecar.log), counted, contents(sidecar.cacheDir), contents(root)]
  for (const text of kept) t.notMatch(text, secret, 'no credentials')
})

t.test(
  'an authorizer decides for both transports, and no decision is used for another request',
  async (t) => {
    const root = realpathSync(tempDir(t))
    for (const name of ['a', 'b']) makeNamed(root, name)
    /** The decision is a function of the request to the authorizer, so that a decision used for another request shows. */
    const decision = (...asked: unknown[]): number =>
      [200, 401, 403][parseInt(sha256(asked.join()).slice(0, 8), 16) % 3]!
    const broken = basic('alice', `broken ${wrong}`)
    const authorizer = await serveAuthorizer(t, ({ headers, socket }, response) => {
      const { authorization } = headers
      if (authorization === broken) return socket.destroy()
      const status = decision(
        headers['x-refstream-transport'],
        headers['x-refstream-repository'],
        authorization,
      )
      response.writeHead(status, { 'Remote-User': 'x', 'X-Secret': wrong }).end(wrong)
    })
    const sidecar = await startSidecar(t, root, {
      args: [
        ...['--grpc', '127.0.0.1:0', '--log-level', 'trace'],
        ...patient,
        ...['--auth-url', authorizer.url, '--auth-cache-seconds', '3600'],
      ],
    })
    const transports = readers(t, sidecar)
    const credentials = [undefined, ...['alice', 'bob', 'carol'].map((user) => basic(user, secrets.password))]
    const request = fc.record({
      transport: fc.constantFrom('http', 'grpc', 'gitaly'),
      authorization: fc.constantFrom(...credentials, `Bearer ${secrets.token}`, `Bearer ${wrong}`),
      name: fc.constantFrom('a', 'b', 'none'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 2, maxLength: 40 }), async (requests) => {
        const answers = await Promise.all(
          requests.map(({ transport, authorization, name }) =>
            transports[transport](authorization, `${name}.git`),
          ),
        )
        return answers.every(({ word, text }, index) => {
          const { transport, authorization, name } = requests[index]!
          const status = decision(transport === 'http' ? 'http' : 'grpc', `${name}.git`, authorization)
          const expected = words[status === 200 && name === 'none' ? 404 : status]
          const names = expected === 'OK' ? [name] : []
          return word === expected && namesIn(text).join() === names.join() && !secret.test(text)
        })
      }),
      { numRuns: 20 },
    )
    const received = authorizer.asked.map(({ headers }) => headers)
    const asked = received.map((headers) =>
      ['x-refstream-transport', 'x-refstream-repository', 'authorization']
        .map((name) => headers[name])
        .join(),
    )
    t.equal(new Set(asked).size, asked.length, 'nothing is asked twice')
    const ofGrpc = received.find(
      (headers) => headers['x-refstream-transport'] === 'grpc' && headers.authorization,
    )
    t.match(ofGrpc, {
      'x-original-method': 'POST',
      'x-original-uri':
        /^\/(refstream\.v1\.RefService\/Advertise|gitaly\.SmartHTTPService\/InfoRefsUploadPack)$/,
      'x-refstream-repository': /^(a|b|none)\.git$/,
      'x-refstream-service': 'git-upload-pack',
      'x-forwarded-for': '127.0.0.1',
    })
    t.notOk(ofGrpc!['te'] ?? ofGrpc!['grpc-accept-encoding'], 'no other header is passed on')

    for (const [transport, read] of Object.entries(transports)) {
      const said = await read(broken, 'a.git')
      t.equal(said.word, 'UNAVAILABLE', `${transport}: the authorizer gives no decision`)
      t.notMatch(said.text, secret)
    }
    for (const text of [JSON.stringify(sidecar.log), contents(sidecar.cacheDir)]) t.notMatch(text, secret)
  },
)
