import t from 'tap'
import { hashSync } from 'bcryptjs'
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AccessRequest } from '../../src/access/access-request.js'
import { Access, type AccessOptions } from '../../src/access/access.js'
import { DecisionCache } from '../../src/access/decision-cache.js'
import { ExternalAuthorizer, type AuthorizerDecision } from '../../src/access/external-authorizer.js'
import { Htpasswd } from '../../src/access/passwords/htpasswd.js'
import { PasswordChecks } from '../../src/access/passwords/password-checks.js'
import { Rules, type AccessRule } from '../../src/access/rules.js'
import { Tokens } from '../../src/access/tokens.js'
import { serveAuthorizer } from '../support/authorizer.js'
import { makeRequest } from '../support/access-request.js'
import { tempDir } from '../support/temp-dir.js'

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

const theseRules = (list: readonly AccessRule[]): (() => Rules) => {
  const rules = new Rules(list)
  return () => rules
}

/** Returns `as USER` if a request is allowed, otherwise the error's name. */
const outcome = async (access: Access, request: AccessRequest): Promise<string> => {
  try {
    return `as ${(await access.check(request)).user}`
  } catch (error) {
    return (error as Error).name
  }
}

t.test('transports × credentials × repositories × services', async (t) => {
  const directory = tempDir(t)
  const [tokens, htpasswd] = [join(directory, 't'), join(directory, 'h')]
  writeFileSync(tokens, `robot:${createHash('sha256').update('token').digest('hex')}\n`)
  writeFileSync(htpasswd, `alice:${hashSync('a', 4)}\nbob:${hashSync('b', 4)}\n`)
  const checks = new PasswordChecks(100)
  t.teardown(() => checks.close())
  const options: AccessOptions = {
    tokens: () => Tokens.read(tokens),
    passwords: {
      file: () => Htpasswd.read(htpasswd),
      checks,
      decisions: new DecisionCache({ forMs: 1000, max: 10 }),
    },
    rules: theseRules([
      { glob: 'pub/**', action: 'read', names: ['anyone'] },
      { glob: 'secret.git', action: 'read', names: ['alice'] },
      { glob: '**', action: 'read', names: ['*'] },
      { glob: '**', action: 'push', names: ['ali*', 'robot'] },
    ]),
    // Links, and names without `.git`, refer to another path.
    locate: (path) => {
      const name = {
        secret: 'secret.git',
        'secret.git': 'secret.git',
        'pub/link': 'secret.git',
        'pub/x': 'pub/x',
      }[path]
      return name === undefined ? undefined : { names: [name], identity: name }
    },
  }
  const access = new Access(options)
  const credentials = {
    none: undefined,
    alice: basic('alice', 'a'),
    bob: basic('bob', 'b'),
    robot: 'Bearer token',
    'robot as Git sends it': basic('anything', 'token'),
    'alice with bob’s password': basic('alice', 'b'),
    'an unknown user': basic('carol', 'a'),
    'an unknown token': 'Bearer b',
    'another scheme': 'Negotiate token',
  }
  const users: Record<string, string | undefined> = {
    none: undefined,
    alice: 'alice',
    bob: 'bob',
    robot: 'robot',
    'robot as Git sends it': 'robot',
  }
  const expected = (who: string, repository: string, push: boolean): string => {
    if (!(who in users)) return 'Unauthenticated'
    const user = users[who]
    const secret = ['secret', 'secret.git', 'pub/link'].includes(repository)
    const mayRead = secret ? user === 'alice' : user !== undefined || repository.startsWith('pub/')
    const may = push ? user === 'alice' || user === 'robot' : mayRead
    return may ? `as ${user}` : user === undefined ? 'Unauthenticated' : 'Forbidden'
  }
  for (const transport of ['http', 'grpc'] as const)
    for (const [who, authorization] of Object.entries(credentials))
      for (const repository of ['pub/x', 'pub/none', 'secret', 'secret.git', 'pub/link', 'other.git', 'none'])
        for (const service of ['git-upload-pack', 'git-receive-pack', 'dumb'] as const) {
          const request = makeRequest({ transport, service, repository, headers: { authorization } })
          const want = expected(who, repository, service === 'git-receive-pack')
          t.equal(await outcome(access, request), want, [transport, who, repository, service].join(', '))
        }

  const hidden = new Access({ ...options, locate: () => undefined })
  for (const repository of ['secret', 'secret.git']) {
    const request = makeRequest({ repository, headers: { authorization: credentials.bob } })
    t.equal(await outcome(hidden, request), 'Forbidden', `${repository}: the same if it does not exist`)
  }
})

t.test('a rule applies to a repository by any of its names, and to no other repository', async (t) => {
  /** Locates what a path means to Git, with these repositories on disk. */
  const onDisk = (...paths: string[]) => {
    return (path: string) => {
      const name = [path, `${path}.git`].find((each) => paths.includes(each))
      return name === undefined ? undefined : { names: [name], identity: name }
    }
  }
  const rules = theseRules([
    { glob: 'a', action: 'read', names: ['ci'] },
    { glob: 'b.git', action: 'read', names: ['ci'] },
    { glob: 'z*', action: 'read', names: ['anyone'] },
  ])
  const rows: [locate: AccessOptions['locate'], requested: string, may: boolean][] = [
    [onDisk('a.git'), 'a', true],
    [onDisk('a.git'), 'a.git', true],
    [onDisk('a'), 'a', true],
    [onDisk('a', 'a.git'), 'a', true],
    [onDisk('a', 'a.git'), 'a.git', false],
    [onDisk('b.git'), 'b', true],
    [onDisk('b'), 'b', false],
    // The decision is the same as if the repository existed.
    [onDisk(), 'a', true],
    [onDisk(), 'a.git', false],
    [onDisk('a'), 'a.git', false],
    [onDisk(), 'b', false],
    [onDisk(), 'z', true],
  ]
  for (const [locate, repository, may] of rows) {
    const decision = await outcome(new Access({ rules, locate }), makeRequest({ repository, knownAs: 'ci' }))
    t.equal(decision, may ? 'as ci' : 'Forbidden', `${repository} is ${(await locate(repository))?.identity}`)
    // The same where a filesystem may hang, and paths are located by another process.
    const later = new Access({ rules, locate: async (path) => locate(path) })
    t.equal(await outcome(later, makeRequest({ repository, knownAs: 'ci' })), decision)
  }
})

t.test('rules apply to the name that the connection brings', async (t) => {
  const rules = theseRules([{ glob: '**', action: 'read', names: ['ci-*'] }])
  const access = new Access({ rules, locate: () => undefined })
  t.equal(await outcome(access, makeRequest({ knownAs: 'ci-1' })), 'as ci-1')
  t.equal(await outcome(access, makeRequest({ knownAs: 'x' })), 'Forbidden')
  t.equal(await outcome(access, makeRequest({})), 'Forbidden')
  t.equal(await outcome(new Access({ locate: () => undefined }), makeRequest({})), 'as undefined')
})

t.test('a cached decision is never used for other credentials', async (t) => {
  const { url } = await serveAuthorizer(t, (request, response) => {
    // The decision is a function of the request, so that a response shows which request it is for.
    const { headers } = request
    const text = JSON.stringify(
      ['authorization', 'cookie', 'x-refstream-repository', 'x-refstream-service', 'x-forwarded-for'].map(
        (name) => headers[name],
      ),
    )
    const digest = createHash('sha256').update(text).digest()
    if (digest[0]! % 3 === 0) response.writeHead(403).end()
    else response.writeHead(200, { 'Remote-User': digest.toString('hex') }).end()
  })
  const oneOf = (...values: (string | undefined)[]) => fc.constantFrom(...values)
  const part = fc.record({
    headers: fc.record({
      authorization: oneOf('Bearer a', 'Bearer b', undefined),
      cookie: oneOf('a', 'b', undefined),
    }),
    repository: fc.constantFrom('a', 'b'),
    service: fc.constantFrom('git-upload-pack', 'git-receive-pack'),
    remoteAddress: fc.constantFrom('192.0.2.1', '192.0.2.2'),
  })
  const own = ({ headers, repository, service, remoteAddress }: Partial<AccessRequest>): string => {
    const parts = [headers!['authorization'], headers!['cookie'], repository, service, remoteAddress]
    const digest = createHash('sha256').update(JSON.stringify(parts)).digest()
    return digest[0]! % 3 === 0 ? 'Forbidden' : `as ${digest.toString('hex')}`
  }
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 2, maxLength: 30 }), fc.boolean(), async (all, cached) => {
      const headers = ['authorization', 'cookie']
      const service = new ExternalAuthorizer({ url, timeoutMs: 60_000, headers, userHeader: 'remote-user' })
      const decisions = new DecisionCache<AuthorizerDecision>({ forMs: cached ? 60_000 : 0, max: 100 })
      const access = new Access({ authorizer: { service, decisions }, locate: () => undefined })
      const parts = all.map((each) => makeRequest(each as Partial<AccessRequest>))
      const half = parts.length >> 1
      const answers = [
        ...(await Promise.all(parts.slice(0, half).map((part) => outcome(access, part)))),
        ...(await Promise.all(parts.slice(half).map((part) => outcome(access, part)))),
      ]
      service.close()
      return answers.every((answer, index) => answer === own(parts[index]!))
    }),
    { numRuns: 30 },
  )
})

t.test('a request that waits for a filesystem is decided by the rules of its beginning', async (t) => {
  let names = ['ci']
  let found = (): void => {}
  const located = new Promise<undefined>((resolve) => (found = () => resolve(undefined)))
  const rules = () => new Rules([{ glob: 'a', action: 'read', names }])
  const access = new Access({ rules, locate: () => located })
  const first = outcome(access, makeRequest({ repository: 'a', knownAs: 'ci' }))
  names = ['other']
  const later = outcome(access, makeRequest({ repository: 'a', knownAs: 'ci' }))
  found()
  t.same(await Promise.all([first, later]), ['as ci', 'Forbidden'])
})

t.test('where nothing restricts a request, none has to be looked at', async (t) => {
  const locate = () => undefined
  const open = new Access({ locate })
  t.same(open.grantAny(undefined), { user: undefined })
  t.same(open.grantAny(''), { user: undefined })
  t.same(open.grantAny('ci-1'), { user: 'ci-1' })
  const restricted: Partial<AccessOptions>[] = [
    { rules: theseRules([{ glob: '**', action: 'read', names: ['anyone'] }]) },
    { tokens: () => Tokens.read('/dev/null') },
    { passwords: {} as NonNullable<AccessOptions['passwords']> },
    { authorizer: {} as NonNullable<AccessOptions['authorizer']> },
  ]
  for (const options of restricted) t.equal(new Access({ locate, ...options }).grantAny('ci-1'), undefined)
})
