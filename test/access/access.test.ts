import t from 'tap'
import { hashSync } from 'bcryptjs'
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Access, type AccessOptions } from '../../src/access/access.js'
import { ExternalAuthorizer, type AuthorizerAnswer } from '../../src/access/external-authorizer.js'
import { Htpasswd } from '../../src/access/htpasswd.js'
import { PasswordChecks } from '../../src/access/password-checks.js'
import type { AccessRequest } from '../../src/access/access-request.js'
import { Rules } from '../../src/access/rules.js'
import { Tokens } from '../../src/access/tokens.js'
import { DecisionCache } from '../../src/access/decision-cache.js'
import { serveAuthorizer } from '../support/authorizer.js'
import { tempDir } from '../support/temp-dir.js'

const question = (part: Partial<AccessRequest>): AccessRequest => ({
  transport: 'http',
  service: 'git-upload-pack',
  repository: 'r.git',
  headers: {},
  method: 'GET',
  uri: '/',
  remoteAddress: '192.0.2.1',
  knownAs: undefined,
  ...part,
})
const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

/** `user` if it is allowed, else the error's name. */
const outcome = async (access: Access, asked: AccessRequest): Promise<string> => {
  try {
    return `as ${(await access.check(asked)).user}`
  } catch (error) {
    return (error as Error).name
  }
}

t.test('doors × credentials × repositories × services', async (t) => {
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
    rules: new Rules([
      { glob: 'pub/**', action: 'read', names: ['anyone'] },
      { glob: 'secret.git', action: 'read', names: ['alice'] },
      { glob: '**', action: 'read', names: ['*'] },
      { glob: '**', action: 'push', names: ['ali*', 'robot'] },
    ]),
    // Links, and names without `.git`, lead to what they mean.
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
          const asked = question({ transport, service, repository, headers: { authorization } })
          const want = expected(who, repository, service === 'git-receive-pack')
          t.equal(await outcome(access, asked), want, [transport, who, repository, service].join(', '))
        }

  const hidden = new Access({ ...options, locate: () => undefined })
  for (const repository of ['secret', 'secret.git']) {
    const asked = question({ repository, headers: { authorization: credentials.bob } })
    t.equal(
      await outcome(hidden, asked),
      'Forbidden',
      `${repository} would say the same if it were not there`,
    )
  }
})

t.test('a rule means a repository, however it is spelled; and no other', async (t) => {
  /** Of what is on disk, what a path means to Git. */
  const onDisk = (...paths: string[]) => {
    return (path: string) => {
      const name = [path, `${path}.git`].find((each) => paths.includes(each))
      return name === undefined ? undefined : { names: [name], identity: name }
    }
  }
  const rules = new Rules([
    { glob: 'a', action: 'read', names: ['ci'] },
    { glob: 'b.git', action: 'read', names: ['ci'] },
    { glob: 'z*', action: 'read', names: ['anyone'] },
  ])
  const rows: [locate: AccessOptions['locate'], asked: string, may: boolean][] = [
    [onDisk('a.git'), 'a', true],
    [onDisk('a.git'), 'a.git', true],
    [onDisk('a'), 'a', true],
    [onDisk('a', 'a.git'), 'a', true],
    [onDisk('a', 'a.git'), 'a.git', false],
    [onDisk('b.git'), 'b', true],
    [onDisk('b'), 'b', false],
    // What is not there is answered as if it were.
    [onDisk(), 'a', true],
    [onDisk(), 'a.git', false],
    [onDisk('a'), 'a.git', false],
    [onDisk(), 'b', false],
    [onDisk(), 'z', true],
  ]
  for (const [locate, repository, may] of rows) {
    const said = await outcome(new Access({ rules, locate }), question({ repository, knownAs: 'ci' }))
    t.equal(said, may ? 'as ci' : 'Forbidden', `${repository} is ${(await locate(repository))?.identity}`)
    // A disk that may hang is asked by somebody else, and decides the same.
    const later = new Access({ rules, locate: async (path) => locate(path) })
    t.equal(await outcome(later, question({ repository, knownAs: 'ci' })), said)
  }
})

t.test('names that the connection brings', async (t) => {
  const rules = new Rules([{ glob: '**', action: 'read', names: ['ci-*'] }])
  const access = new Access({ rules, locate: () => undefined })
  t.equal(await outcome(access, question({ knownAs: 'ci-1' })), 'as ci-1')
  t.equal(await outcome(access, question({ knownAs: 'x' })), 'Forbidden')
  t.equal(await outcome(access, question({})), 'Forbidden')
  t.equal(await outcome(new Access({ locate: () => undefined }), question({})), 'as undefined')
})

t.test('what one credential is allowed is never another’s', async (t) => {
  const { url } = await serveAuthorizer(t, (request, response) => {
    // Who is allowed what follows from what was asked, so that an answer tells to which question.
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
  const word = (...words: (string | undefined)[]) => fc.constantFrom(...words)
  const asked = fc.record({
    headers: fc.record({
      authorization: word('Bearer a', 'Bearer b', undefined),
      cookie: word('a', 'b', undefined),
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
    fc.asyncProperty(
      fc.array(asked, { minLength: 2, maxLength: 30 }),
      fc.boolean(),
      async (all, remember) => {
        const headers = ['authorization', 'cookie']
        const asking = new ExternalAuthorizer({ url, timeoutMs: 60_000, headers, userHeader: 'remote-user' })
        const decisions = new DecisionCache<AuthorizerAnswer>({ forMs: remember ? 60_000 : 0, max: 100 })
        const access = new Access({ authorizer: { asked: asking, decisions }, locate: () => undefined })
        const parts = all.map((part) => question(part as Partial<AccessRequest>))
        const half = parts.length >> 1
        const answers = [
          ...(await Promise.all(parts.slice(0, half).map((part) => outcome(access, part)))),
          ...(await Promise.all(parts.slice(half).map((part) => outcome(access, part)))),
        ]
        asking.close()
        return answers.every((answer, index) => answer === own(parts[index]!))
      },
    ),
    { numRuns: 30 },
  )
})

t.test('passwords are checked beside the event loop, a bounded number of them', async (t) => {
  const file = join(tempDir(t), 'h')
  writeFileSync(file, `alice:${hashSync('a', 4)}\n`)
  const htpasswd = Htpasswd.read(file)
  let count = 0
  const checks = new PasswordChecks(20, () => count++)
  t.teardown(() => checks.close())
  const decisions = new DecisionCache<{ good: boolean }>({ forMs: 60_000, max: 100 })
  const check = (password: string, group: string, user = 'alice') =>
    htpasswd.check(user, password, group, checks, decisions).catch((error: unknown) => (error as Error).name)

  const storm = Array.from({ length: 100 }, (_, index) => check(`wrong ${index}`, 'attacker'))
  t.equal(await check('a', 'other'), true, 'a storm of one leaves places for others')
  const results = await Promise.all(storm)
  t.same(new Set(results), new Set([false, 'Overloaded']))
  t.ok(count < 20, `${count} were checked`)
  const before = count
  t.same(await Promise.all([check('a', 'x'), check('a', 'y'), check('wrong 0', 'x')]), [true, true, false])
  t.equal(count, before, 'what is known is not checked again')
  t.same(await Promise.all([check('b', 'x'), check('b', 'y'), check('b', 'z', 'nobody')]), [
    false,
    false,
    false,
  ])
  t.equal(count, before + 2, 'who ask the same share one check; a name that nobody has costs one too')
})

t.test('hashes that no password could be checked with are refused when they are read', async (t) => {
  const file = join(tempDir(t), 'h')
  for (const cost of ['03', '15']) {
    writeFileSync(file, `alice:${hashSync('a', 4).replace('$04$', `$${cost}$`)}\n`)
    t.throws(() => Htpasswd.read(file), { message: new RegExp(`:1: the cost is ${cost};`) })
  }
})

t.test('an authoriser may close connections that it has answered on', async (t) => {
  const answered = new WeakSet()
  const { url } = await serveAuthorizer(t, ({ socket }, response) => {
    // Where it had an idle connection closed, the question comes too late.
    if (answered.has(socket)) socket.destroy()
    else response.end()
    answered.add(socket)
  })
  const asked = new ExternalAuthorizer({ url, timeoutMs: 60_000, headers: [], userHeader: 'remote-user' })
  t.teardown(() => asked.close())
  await Promise.all([asked.ask(question({})), asked.ask(question({}))])
  t.match(await asked.ask(question({})), { verdict: 'allowed' })
})
