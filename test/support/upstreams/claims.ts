import { execFile } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { promisify } from 'node:util'
import { gitClient } from '../git-client.js'
import { ask, infoRefs } from '../http-client.js'
import { git, gitEnvironment } from '../repositories.js'
import { startSidecar, type SpawnedSidecar } from '../sidecar.js'
import { tempDir } from '../temp-dir.js'
import { urlOf, users, type Stage, type StageKind } from './stages.js'

/** Pushes that are made directly at the server, each of which must be seen at once. */
const pushes = 5
const versions = [0, 1, 2] as const
const execute = promisify(execFile)

/** What a Git client has printed, with its exit code, and without the address of its server. */
export async function outcome(version: 0 | 1 | 2, cwd: string, ...args: string[]): Promise<string> {
  const config = ['-c', `protocol.version=${version}`, '-c', 'advice.detachedHead=false']
  const options = { cwd, env: { ...gitEnvironment, HOME: cwd } }
  const result = await execute('git', [...config, ...args], options).catch((error: unknown) => error)
  const { code = 0, stdout, stderr } = result as { code?: number; stdout: string; stderr: string }
  return `${code}\n${stdout}${stderr}`.replaceAll(/127\.0\.0\.1:\d+/g, 'SERVER')
}

/**
 * Puts refstream in front of a server, and checks that Git's clients get through it what the server gives them.
 *
 * @param hops how many refstreams stand one above the other
 */
export async function checkServer(t: Test, kind: StageKind, hops = 1): Promise<void> {
  const stage = await kind.start(t)
  const start = (url: string): Promise<SpawnedSidecar> =>
    startSidecar(t, undefined, { args: ['--upstream', url] })
  let sidecar = await start(stage.server.url)
  for (let hop = 2; hop <= hops; hop++) sidecar = await start(sidecar.url)
  const compare = comparing(stage.server.url, sidecar.url)
  await t.test('refs are those that the server lists', (t) => listsRefs(t, stage, compare))
  await t.test('raw answers are the server’s own', (t) => answersAsServer(t, stage, sidecar.url))
  await t.test('clones are those of the server', (t) => clones(t, stage, kind, compare))
  await t.test('a push at the server is seen at once', (t) => seesPushes(t, stage, sidecar.url))
  await t.test('a push through refstream', (t) => pushesThrough(t, stage, sidecar.url))
  await t.test('a poll costs the server no more than without refstream', (t) =>
    isCheap(t, stage, sidecar.url),
  )
  const { secret } = stage
  if (secret !== undefined) {
    await t.test('a private repository', (t) => keepsSecret(t, secret, compare))
    await t.test('many clients at once, each by its own credentials', (t) =>
      isApart(t, secret, kind, stage.server.url, sidecar.url),
    )
  }
  t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'error' }), 0, 'without an error')
}

/** Runs a client directly at the server and through refstream, and checks that it got the same. */
export type Compare = (
  t: Test,
  message: string,
  run: (base: string, name: string) => Promise<string>,
) => Promise<string>

export const comparing =
  (direct: string, through: string): Compare =>
  async (t, message, run) => {
    const expected = await run(direct, 'direct')
    t.equal(await run(through, 'through'), expected, message)
    return expected
  }

async function listsRefs(t: Test, { open }: Stage, compare: Compare): Promise<void> {
  const place = tempDir(t)
  const commandsOf = (version: number): string[][] => [
    [],
    ['--symref', 'HEAD'],
    ['refs/heads/topic/*'],
    // Only with v2 do these differ in what the server is asked.
    ...(version === 2 ? [['--heads'], ['--tags'], ['--refs', '--symref'], ['main'], ['nothing']] : []),
  ]
  for (const version of versions) {
    for (const args of commandsOf(version)) {
      const options = args.filter((word) => word.startsWith('-'))
      const patterns = args.filter((word) => !word.startsWith('-'))
      const listed = await compare(t, `v${version}: ls-remote ${args.join(' ')}`, (base) =>
        outcome(version, place, 'ls-remote', ...options, urlOf(base, open), ...patterns),
      )
      t.match(listed, args[0] === 'nothing' ? /^0\n$/ : /^0\n(ref: )?\w/)
    }
    await compare(t, `v${version}: no such repository`, (base) =>
      outcome(version, place, 'ls-remote', urlOf(base, 'team/nothing.git')),
    )
  }
}

async function answersAsServer(t: Test, { server, open }: Stage, through: string): Promise<void> {
  for (const version of versions) {
    const headers: Record<string, string> = version === 0 ? {} : { 'Git-Protocol': `version=${version}` }
    const [direct, own] = await Promise.all([
      ask(infoRefs(server.url, open), { headers }),
      ask(infoRefs(through, open), { headers }),
    ])
    t.equal(own.status, 200)
    t.equal(own.headers['content-type'], direct.headers['content-type'])
    t.equal(own.headers['set-cookie'], undefined, 'what the server says to one client is not told to another')
    t.equal(own.body.toString('latin1'), direct.body.toString('latin1'), `info/refs, v${version}`)
  }
}

async function clones(
  t: Test,
  { open }: Stage,
  { servesPartial }: StageKind,
  compare: Compare,
): Promise<void> {
  const place = tempDir(t)
  const waysOf = (version: number): string[][] => [
    [],
    ['--depth=1'],
    ...(version === 2 ? [['--bare'], ['--single-branch', '--branch=topic/one']] : []),
    ...(version !== 1 && servesPartial
      ? [['--depth=2', '--no-single-branch'], ['--filter=blob:none'], ['--filter=tree:0']]
      : []),
  ]
  for (const version of versions) {
    for (const args of waysOf(version)) {
      await compare(t, `v${version}: clone ${args.join(' ')}`, async (base, name) => {
        const copy = join(place, `${name}-${version}-${args.join('')}`.replaceAll(/[/:]/g, '-'))
        const said = await outcome(version, place, 'clone', '--quiet', ...args, urlOf(base, open), copy)
        const refs = git(copy, 'for-each-ref')
        const fetched = await outcome(version, copy, 'fetch', '--quiet', 'origin')
        return [said, refs, git(copy, 'rev-list', '--all'), fetched, git(copy, 'fsck')].join('\n')
      })
    }
  }
}

async function seesPushes(t: Test, { server, open }: Stage, through: string): Promise<void> {
  const place = tempDir(t)
  const writer = gitClient(2)
  await writer(place, 'clone', '--quiet', urlOf(server.url, open, 'alice'), 'work')
  await writer(place, 'clone', '--quiet', urlOf(through, open), 'copy')
  const [work, copy] = [join(place, 'work'), join(place, 'copy')]
  for (let number = 1; number <= pushes; number++) {
    await writer(work, 'commit', '--quiet', '--allow-empty', '-m', `direct ${number}`)
    await writer(work, 'push', '--quiet', 'origin', 'HEAD:main', `HEAD:refs/heads/n${number}`)
    const commit = git(work, 'rev-parse', 'HEAD')
    const version = versions[number % versions.length]!
    const listed = await gitClient(version)(place, 'ls-remote', urlOf(through, open), 'refs/heads/*')
    t.match(listed, `${commit}\trefs/heads/main\n`, `v${version}, push ${number}`)
    t.match(listed, `${commit}\trefs/heads/n${number}\n`)
    await gitClient(version)(copy, 'fetch', '--quiet', 'origin')
    t.equal(git(copy, 'rev-parse', 'origin/main'), commit)
  }
  await writer(work, 'push', '--quiet', 'origin', ':refs/heads/n1')
  t.notMatch(await writer(place, 'ls-remote', urlOf(through, open)), /heads\/n1\n/)
}

async function pushesThrough(t: Test, { server, open }: Stage, through: string): Promise<void> {
  const place = tempDir(t)
  const client = gitClient(2)
  const url = urlOf(through, open, 'alice')
  await client(place, 'clone', '--quiet', url, 'work')
  const work = join(place, 'work')
  await client(work, 'commit', '--quiet', '--allow-empty', '-m', 'through')
  await client(work, 'push', '--quiet', 'origin', 'HEAD:main', 'HEAD:refs/tags/through')
  const commit = git(work, 'rev-parse', 'HEAD')
  for (const base of [through, server.url]) {
    t.match(await client(place, 'ls-remote', urlOf(base, open), 'main'), commit)
  }
  const large = join(work, 'large')
  git(work, 'config', 'http.postBuffer', '65536')
  await execute('sh', ['-c', `head -c 3000000 /dev/urandom > ${large}`])
  git(work, 'add', 'large')
  await client(work, 'commit', '--quiet', '-m', 'large: sent in chunks')
  await client(work, 'push', '--quiet', 'origin', 'HEAD:refs/heads/large')
  t.match(await client(place, 'ls-remote', urlOf(through, open), 'large'), git(work, 'rev-parse', 'HEAD'))
  await client(work, 'push', '--quiet', 'origin', ':refs/heads/large')
  t.equal(await client(place, 'ls-remote', urlOf(through, open), 'large'), '')
}

async function isCheap(t: Test, { server, open }: Stage, through: string): Promise<void> {
  const place = tempDir(t)
  const cost = async (base: string): Promise<number> => {
    const before = server.requests().length
    for (let count = 0; count < 5; count++) await gitClient(2)(place, 'ls-remote', urlOf(base, open))
    return server.requests().length - before
  }
  const direct = await cost(server.url)
  const ours = await cost(through)
  t.ok(ours <= direct, `${ours} of ${direct} requests`)
}

async function keepsSecret(t: Test, secret: string, compare: Compare): Promise<void> {
  const place = tempDir(t)
  const who = [['alice'], [], ['alice', 'wrong'], ['bob'], ['bob', 'wrong'], ['alice']] as const
  for (const version of versions) {
    for (const [user, password] of who) {
      const asked = await compare(
        t,
        `v${version}: ${user ?? 'nobody'}, ${password ?? 'right'} password`,
        (base) => outcome(version, place, 'ls-remote', urlOf(base, secret, user, password)),
      )
      t.match(asked, user === 'alice' && !password ? /^0\n.*refs\/heads\/main/s : /^128\n/)
    }
  }
  await compare(t, 'a push by a user who may not', async (base, name) => {
    const copy = join(place, name)
    await gitClient(2)(place, 'clone', '--quiet', urlOf(base, secret, 'alice'), copy)
    return outcome(2, copy, 'push', urlOf(base, secret, 'bob'), 'HEAD:refs/heads/bobs')
  })
}

/** Clients of several users ask the same at the same time, by GET, and by POST alone. */
async function isApart(
  t: Test,
  secret: string,
  { speaksV2 }: StageKind,
  direct: string,
  through: string,
): Promise<void> {
  const basic = (user: string, password: string): Record<string, string> => ({
    Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
  })
  const clients = [
    basic('alice', users.alice),
    {},
    basic('alice', 'wrong'),
    basic('bob', users.bob),
    basic('bob', users.alice),
  ]
  const status = async (base: string, version: number, headers: Record<string, string>): Promise<string> => {
    const protocol: Record<string, string> = version === 0 ? {} : { 'Git-Protocol': `version=${version}` }
    const answer = await ask(infoRefs(base, secret), { headers: { ...headers, ...protocol } })
    return `${answer.status} ${answer.headers['www-authenticate']} ${answer.body.includes('refs/heads/main')}`
  }
  const list = (base: string, headers: Record<string, string>): Promise<number> =>
    ask(`${base}/${secret}/git-upload-pack`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/x-git-upload-pack-request',
        'Git-Protocol': 'version=2',
        ...headers,
      },
      body: '0014command=ls-refs\n0000',
    }).then(({ status, body }) => (body.includes('refs/heads/main') ? status : -status))

  for (const version of versions) {
    const expected = await Promise.all(clients.map((headers) => status(direct, version, headers)))
    t.match(expected[0], version === 2 && speaksV2 ? /^200/ : /^200 .*true$/)
    t.ok(expected.slice(1).every((one) => /^40[134] .*false$/.test(one)))
    const all = Array.from({ length: 6 }, () => clients).flat()
    const answers = await Promise.all(all.map((headers) => status(through, version, headers)))
    t.same(answers, Array.from({ length: 6 }, () => expected).flat(), `v${version}`)
  }
  if (!speaksV2) return
  const listed = await Promise.all(clients.slice(1).map((headers) => list(through, headers)))
  t.ok(
    listed.every((one) => [-401, -403, -404].includes(one)),
    'a POST needs no GET before it to be refused',
  )
}
