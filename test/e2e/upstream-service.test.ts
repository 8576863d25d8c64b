import t from 'tap'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { eventually } from '../support/eventually.js'
import { ask } from '../support/http-client.js'
import { askFor, refsIn, type Question } from '../support/permission-client.js'
import { oidOf, PermissionServer } from '../support/permission-server.js'
import { makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
const [first, second] = [basic('refstream', 'hunter-one'), basic('refstream', 'hunter-two')]
const questions: readonly Question[] = ['v2', 'v0', 'refs/', 'refs/heads/', 'pack', 'HEAD']
const want = oidOf('secret', 'refs/heads/main')

const openServer = (t: Test): Promise<PermissionServer> =>
  new PermissionServer(
    {
      users: { [first]: 'refstream' },
      repositories: {
        'pub/x': { readers: ['anyone'], content: 'public' },
        'secret/x': { readers: ['refstream'], content: 'secret' },
        'pub/moved': { readers: ['refstream'], content: '', movedTo: 'secret/x' },
      },
    },
    true,
  ).start(t)

/** Writes tokens of clients. @returns the headers of each */
function tokensFor(directory: string, ...names: string[]) {
  const lines = names.map((name) => `${name}:${createHash('sha256').update(`token-${name}`).digest('hex')}`)
  const file = join(directory, 'tokens')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return { file, who: (name: string) => ({ Authorization: `Bearer token-${name}` }) }
}

const service = (server: PermissionServer, ...args: string[]): string[] => [
  ...['--upstream', server.url, '--upstream-credentials', 'service'],
  ...args,
]

t.test('the credential of a file is used, changed and refused', async (t) => {
  const server = await openServer(t)
  const directory = tempDir(t)
  const [file, { file: tokens, who }] = [join(directory, 'credentials'), tokensFor(directory, 'alice', 'bob')]
  writeFileSync(file, 'refstream:hunter-one\n', { mode: 0o600 })
  const args = service(server, '--upstream-credential-file', file, '--auth-tokens', tokens)
  const sidecar = await startSidecar(t, undefined, { args: [...args, '--auth-cache-seconds', '0'] })
  for (const question of questions) {
    const answer = await askFor(sidecar.url, 'secret/x', question, who('alice'), want)
    t.equal(answer.status, 200, question)
    t.equal(server.requests.at(-1)?.headers.authorization, first, 'never that of the client')
    t.equal((await askFor(sidecar.url, 'secret/x', question, {}, want)).status, 401)
  }
  server.permissions = { ...server.permissions, users: { [second]: 'refstream' } }
  for (const question of questions) {
    const answer = await askFor(sidecar.url, 'secret/x', question, who('bob'), want)
    t.equal(answer.status, 503, question)
    t.match(answer.body.toString(), /credential/, question)
    t.notOk(answer.headers['www-authenticate'], 'the client cannot do anything about it')
  }
  writeFileSync(file, 'refstream:hunter-two\n')
  await eventually('the new credential is in use', async () => {
    return (await askFor(sidecar.url, 'secret/x', 'v2', who('bob'))).status === 200
  })
  const said = JSON.stringify(sidecar.log) + (await (await fetch(`${sidecar.adminUrl}/metrics`)).text())
  for (const secret of ['hunter-one', 'hunter-two', first.slice(6), second.slice(6), 'token-alice'])
    t.notOk(said.includes(secret), secret)
})

t.test('the credential of Git’s helpers is used, changed and refused', async (t) => {
  const server = await openServer(t)
  const home = tempDir(t)
  const [helper, answer, told] = [join(home, 'helper'), join(home, 'answer'), join(home, 'told')]
  writeFileSync(
    helper,
    `#!/bin/sh\ncat >/dev/null\necho "$1" >> ${told}\n[ "$1" = get ] && cat ${answer}\nexit 0\n`,
  )
  chmodSync(helper, 0o755)
  writeFileSync(join(home, '.gitconfig'), `[credential]\n\thelper = ${helper}\n`)
  writeFileSync(answer, 'username=refstream\npassword=hunter-one\n')
  const { file: tokens, who } = tokensFor(home, 'alice')
  const sidecar = await startSidecar(t, undefined, {
    args: service(server, '--auth-tokens', tokens, '--auth-cache-seconds', '0'),
    environment: { HOME: home },
  })
  t.equal((await askFor(sidecar.url, 'secret/x', 'refs/', who('alice'))).status, 200)
  server.permissions = { ...server.permissions, users: { [second]: 'refstream' } }
  writeFileSync(answer, 'username=refstream\npassword=hunter-two\n')
  const refused = await askFor(sidecar.url, 'secret/x', 'v2', who('alice'))
  t.equal(refused.status, 503)
  t.match(refused.body.toString(), /credential/)
  await eventually('helpers were asked again', async () => {
    return (await askFor(sidecar.url, 'secret/x', 'v2', who('alice'))).status === 200
  })
})

t.test('rules hold whatever name the upstream knows a repository by', async (t) => {
  const server = await openServer(t)
  const directory = tempDir(t)
  const { file: tokens, who } = tokensFor(directory, 'alice', 'bob')
  const file = join(directory, 'credentials')
  writeFileSync(file, 'refstream:hunter-one\n', { mode: 0o600 })
  const root = tempDir(t)
  mkdirSync(join(root, 'pub'))
  makeRepository(root, 'pub/disk.git')
  mkdirSync(join(root, 'secret'))
  makeRepository(root, 'secret/disk.git')
  const access = ['--access', 'secret/**=read:alice, **=read:*']
  const locks = ['--upstream-credential-file', file, '--auth-tokens', tokens, ...access]
  for (const below of [undefined, root]) {
    const { url } = await startSidecar(t, below, { args: service(server, ...locks) })
    server.requests.length = 0
    const spellings = [
      'secret/x',
      'SECRET/x',
      'Secret/X.git',
      '/secret/x.git/',
      'secret//x',
      '%73ecret/x',
      'secret%2Fx',
    ]
    const more = [
      'secret/x/.git',
      '%2573ecret/x',
      'secret;a/x',
      'secret%20/x',
      'ſecret/x',
      'pub%5c..%5csecret/x',
    ]
    for (const path of [...spellings, ...more, ...(below ? ['secret/disk', 'SECRET/disk.git'] : [])]) {
      for (const question of questions) {
        const answer = await askFor(url, encodeURI(path).replaceAll('%25', '%'), question, who('bob'), want)
        t.ok([400, 403, 404].includes(answer.status), `${path} ${question} ${answer.status}`)
      }
    }
    t.equal(server.requests.length, 0, 'the upstream is not even asked')
    for (const path of ['secret/x', '/secret/x.git/', 'secret//x'])
      t.equal((await askFor(url, path, 'refs/', who('alice'))).status, 200, path)
    t.equal((await askFor(url, 'pub/x', 'refs/', who('bob'))).status, 200)
    if (below) t.equal((await askFor(url, 'pub/disk', 'refs/', who('bob'))).status, 200)

    // A redirect of the upstream is for the client to follow, so that the rules see it.
    for (const question of ['v2', 'v0'] as const) {
      const moved = await askFor(url, 'pub/moved', question, who('bob'))
      t.equal(moved.status, 301)
      const { location = '' } = moved.headers
      const target = new URL(location, `${url}/pub/moved/info/refs`)
      t.equal(target.href, `${url}/secret/x/info/refs?service=git-upload-pack`)
      t.equal((await ask(target.href, { headers: who('bob') })).status, 403)
      t.match(refsIn(await ask(target.href, { headers: who('alice') })), { HEAD: want })
    }
    for (const question of ['refs/', 'pack', 'HEAD'] as const)
      t.not((await askFor(url, 'pub/moved', question, who('bob'), want)).status, 200, question)
  }
})

t.test('only what Git’s protocol has is sent with refstream’s credential', async (t) => {
  const server = await openServer(t)
  const directory = tempDir(t)
  const file = join(directory, 'credentials')
  writeFileSync(file, 'refstream:hunter-one\n', { mode: 0o600 })
  const { url } = await startSidecar(t, undefined, {
    args: service(server, '--upstream-credential-file', file),
  })
  const targets = [
    '/api/v1/repos/secret/x',
    '/pub/x/archive/main.zip',
    '/pub/x/info%2frefs',
    '/pub/x/settings',
    '/',
  ]
  for (const target of targets)
    for (const method of ['GET', 'POST', 'PUT', 'DELETE'])
      t.ok([400, 404].includes((await ask(`${url}${target}`, { method })).status), `${method} ${target}`)
  t.equal(server.requests.length, 0)
  await askFor(url, 'pub/x', 'HEAD', {
    ...{ 'Private-Token': 'mine', Sudo: 'root', 'X-Remote-User': 'root', Cookie: 'a=b' },
    ...{ Authorization: 'Bearer mine', 'X-Forwarded-User': 'root', 'X-Original-URL': '/secret/x' },
  })
  const { headers } = server.requests.at(-1)!
  const sent = Object.keys(headers).filter((name) => !['host', 'connection', 'user-agent'].includes(name))
  t.same(sent.sort(), ['authorization', 'x-forwarded-for'])
  t.equal(headers.authorization, first)
})
