import t from 'tap'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { ask, type Answer } from '../support/http-client.js'
import { askFor, refsIn, type Question, type Who } from '../support/permission-client.js'
import { challenges, oidOf, PermissionServer } from '../support/permission-server.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const basic = `Basic ${Buffer.from('alice:hunter2').toString('base64')}`
const people = {
  anonymous: {},
  alice: { Authorization: basic },
  bob: { Authorization: 'Bearer token-of-bob' },
  carol: { Cookie: 'session=of-carol' },
} as const satisfies Record<string, Who>
const { anonymous, alice, bob } = people
const users = { [basic]: 'alice', 'Bearer token-of-bob': 'bob' }
const listings: readonly Question[] = ['v0', 'refs/', 'refs/heads/']

const openServer = (t: Test, showsAllTheSame = false): Promise<PermissionServer> =>
  new PermissionServer(
    {
      users,
      repositories: {
        'team/public': { readers: ['anyone'], content: 'public' },
        'team/secret': { readers: ['alice'], content: 'secret' },
      },
    },
    showsAllTheSame,
  ).start(t)

const before = (server: PermissionServer, ...args: string[]) => ({
  args: ['--upstream', server.url, ...args],
})
const isSecret = (answer: Answer): boolean => /secret|[0-9a-f]{40}/.test(answer.body.toString('latin1'))

t.test('views of one repository stay apart, and nothing of a credential is written down', async (t) => {
  const server = await openServer(t)
  const cacheDir = join(tempDir(t), 'cache')
  const options = {
    cacheDir,
    ...before(server, '--upstream-freshness', 'bounded:60', '--hot-max-bytes', '0'),
  }
  const sidecar = await startSidecar(t, undefined, options)
  for (const repeated of [1, 2]) {
    for (const question of listings) {
      const asked = Object.entries({ anonymous, alice, bob }).map(async ([name, who]) => {
        const answer = await askFor(sidecar.url, 'team/public', question, who)
        const own = Object.keys(refsIn(answer)).filter((ref) => ref.startsWith('refs/users/'))
        const expected = name === 'anonymous' || question === 'refs/heads/' ? [] : [`refs/users/${name}`]
        t.same(own, expected, `${name} asks ${question}, ${repeated}`)
      })
      await Promise.all(asked)
    }
  }
  // Nothing but Authorization and Cookie tells clients apart.
  const forged = await askFor(sidecar.url, 'team/public', 'refs/', { ...bob, 'X-Remote-User': 'alice' })
  t.match(refsIn(forged), { 'refs/users/bob': /./ })
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
  await sidecar.stop()
  const files = readdirSync(cacheDir, { recursive: true, withFileTypes: true }).filter((file) =>
    file.isFile(),
  )
  t.ok(files.length > 0)
  const written = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1') + name)
  const said = [metrics, JSON.stringify(sidecar.log), ...written]
  const secrets = [basic, basic.slice(6), 'hunter2', 'token-of-bob', 'session=of-carol']
  for (const secret of secrets)
    t.notOk(
      said.some((text) => text.includes(secret)),
      secret,
    )
})

t.test('a refusal passes as it is, with all its challenges, and a cookie is a credential too', async (t) => {
  const server = await openServer(t)
  const { url } = await startSidecar(t, undefined, before(server))
  for (const question of ['v2', ...listings, 'pack', 'HEAD'] as const) {
    for (const who of [anonymous, { Authorization: 'Bearer wrong' }]) {
      const answer = await askFor(url, 'team/secret', question, who, oidOf('secret', 'refs/heads/main'))
      t.equal(answer.status, 401, question)
      const lines = answer.rawHeaders.filter((_, at) => answer.rawHeaders[at - 1] === 'WWW-Authenticate')
      t.same(lines, challenges)
      t.equal(answer.body.toString(), 'who?')
    }
    const answer = await askFor(url, 'team/secret', question, bob, oidOf('secret', 'refs/heads/main'))
    t.equal(answer.status, 404, question)
  }
  server.requests.length = 0
  await askFor(url, 'team/public', 'v2', people.carol)
  t.equal(server.requests[0]?.headers.cookie, people.carol.Cookie)
})

for (const view of ['credential', 'shared'] as const) {
  t.test(`while the upstream is away, only who was let in gets what is stale: ${view}`, async (t) => {
    for (const freshness of ['exact', 'bounded:0.001']) {
      const server = await openServer(t, view === 'shared')
      server.change('team/secret', { readers: ['alice', 'bob'] })
      const stale = ['--upstream-stale-seconds', '600', '--auth-cache-seconds', '0.001']
      const options = before(server, '--upstream-view', view, '--upstream-freshness', freshness, ...stale)
      const sidecar = await startSidecar(t, undefined, options)
      const want = oidOf('secret', 'refs/heads/main')
      for (const question of ['v2', ...listings, 'pack'] as const)
        for (const who of [alice, bob])
          t.equal((await askFor(sidecar.url, 'team/secret', question, who, want)).status, 200)
      server.change('team/secret', { readers: ['alice'] })
      await sleep(5)
      // Noticed by one question, whichever it is; never let in again by another.
      t.equal((await askFor(sidecar.url, 'team/secret', 'refs/heads/', bob)).status, 404)
      server.isAway = true
      for (const question of ['v2', ...listings] as const) {
        const told = await askFor(sidecar.url, 'team/secret', question, alice, want)
        if (question === 'refs/heads/' && view === 'shared') continue
        t.equal(told.status, 200, `${question} ${freshness}`)
      }
      for (const question of ['v2', ...listings, 'pack'] as const) {
        for (const who of [bob, anonymous, { Authorization: 'Bearer new' }]) {
          const told = await askFor(sidecar.url, 'team/secret', question, who, want)
          t.equal(told.status, 503, `${question} ${freshness} ${JSON.stringify(who)}`)
        }
      }
    }
  })
}

t.test('clients of a running fill or a pack are let in one by one', async (t) => {
  for (const view of ['credential', 'shared']) {
    const server = await openServer(t, view === 'shared')
    const { url } = await startSidecar(t, undefined, before(server, '--upstream-view', view))
    let release = (): void => {}
    const held = new Promise<void>((resolve) => (release = resolve))
    let isHeld = (): void => {}
    const holding = new Promise<void>((resolve) => (isHeld = resolve))
    server.beforeAnswer = ({ body, headers }) => {
      if (headers.authorization !== basic || !/ref-prefix|want/.test(body)) return
      isHeld()
      return held
    }
    const want = oidOf('secret', 'refs/heads/main')
    for (const question of ['refs/heads/', 'pack'] as const) {
      const first = askFor(url, 'team/secret', question, alice, want)
      await holding
      for (const who of [bob, anonymous])
        t.ok((await askFor(url, 'team/secret', question, who, want)).status > 400)
      release()
      t.ok(isSecret(await first))
      for (const who of [bob, anonymous])
        t.ok((await askFor(url, 'team/secret', question, who, want)).status > 400)
      t.ok(isSecret(await askFor(url, 'team/secret', question, alice, want)))
    }
  }
})

t.test('after a restart nothing of one view is under another', async (t) => {
  const server = await openServer(t)
  const cacheDir = join(tempDir(t), 'cache')
  const stale = ['--upstream-stale-seconds', '600', '--hot-max-bytes', '0']
  const options = { cacheDir, ...before(server, '--upstream-freshness', 'bounded:600', ...stale) }
  const want = oidOf('secret', 'refs/heads/main')
  const first = await startSidecar(t, undefined, options)
  for (const question of ['v2', ...listings, 'pack'] as const) {
    t.equal((await askFor(first.url, 'team/secret', question, alice, want)).status, 200)
    t.equal(
      (await askFor(first.url, 'team/public', question, anonymous, oidOf('public', 'refs/heads/main')))
        .status,
      200,
    )
  }
  await first.stop()
  server.change('team/public', { readers: ['alice'] })
  const second = await startSidecar(t, undefined, options)
  for (const question of ['v2', ...listings, 'pack'] as const) {
    t.equal((await askFor(second.url, 'team/secret', question, bob, want)).status, 404)
    t.equal((await askFor(second.url, 'team/public', question, anonymous)).status, 401)
  }
  await second.stop()
  server.isAway = true
  const third = await startSidecar(t, undefined, options)
  for (const question of ['v2', ...listings, 'pack'] as const)
    for (const who of [alice, bob, anonymous])
      t.equal((await askFor(third.url, 'team/secret', question, who, want)).status, 503)
})

t.test('a renamed repository is found by each client for itself', async (t) => {
  const server = await openServer(t)
  server.change('team/old', { readers: ['anyone'], movedTo: 'team/secret' })
  const { url } = await startSidecar(t, undefined, before(server))
  for (const question of ['v2', 'v0', 'refs/'] as const) {
    t.equal((await askFor(url, 'team/old', question, alice)).status, 200, question)
    t.equal((await askFor(url, 'team/old', question, bob)).status, 404, question)
    t.equal((await askFor(url, 'team/old', question, anonymous)).status, 401, question)
  }
  server.change('team/old', { readers: ['anyone'], content: 'anew', movedTo: undefined } as object)
  const [now] = await Promise.all([askFor(url, 'team/old', 'v0', bob)])
  t.match(refsIn(now), { 'refs/heads/main': oidOf('anew', 'refs/heads/main') }, 'another one by the old name')
})

t.test('of repeated credentials, the view and the upstream have the same one', async (t) => {
  const server = await openServer(t)
  const { url } = await startSidecar(t, undefined, before(server, '--upstream-freshness', 'bounded:60'))
  await askFor(url, 'team/public', 'refs/', alice)
  for (const order of [
    [alice.Authorization, bob.Authorization],
    [bob.Authorization, alice.Authorization],
  ]) {
    const target = `${url}/team/public/info/refs?service=git-upload-pack`
    const answer = await ask(target, { headers: { Authorization: order } })
    const sent = server.requests.at(-1)
    t.equal(sent?.rawHeaders.filter((name) => name.toLowerCase() === 'authorization').length, 1)
    t.match(refsIn(answer), { [`refs/users/${users[order[0]!]}`]: /./ })
    t.equal(Object.keys(refsIn(answer)).filter((ref) => ref.startsWith('refs/users/')).length, 1)
  }
})
