import t from 'tap'
import type { Test } from 'tap'
import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { askAdmin, type AdminAnswer } from '../../src/cli/admin/client.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, type GitWrapper } from '../support/git-wrapper.js'
import { ask, infoRefs } from '../support/http-client.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const leaseMode = ['--freshness', 'lease', '--unleased-max-age-seconds', '3600']

class World {
  readonly root: string
  readonly repository: string
  readonly cacheDir: string
  readonly wrapper: GitWrapper
  sidecar!: SpawnedSidecar
  readonly #t: Test
  readonly #args: readonly string[]

  private constructor(t: Test, args: readonly string[]) {
    this.#t = t
    this.#args = args
    this.root = tempDir(t)
    this.repository = makeRepository(this.root, 'r.git')
    this.cacheDir = join(tempDir(t), 'cache')
    this.wrapper = makeGitWrapper(t)
  }

  static async start(t: Test, args: readonly string[]): Promise<World> {
    const world = new World(t, args)
    await world.restart()
    return world
  }

  async restart(): Promise<void> {
    const args = ['--git', this.wrapper.path, ...this.#args]
    this.sidecar = await startSidecar(this.#t, this.root, { cacheDir: this.cacheDir, args })
  }

  /** The names of the branches in an advertisement. */
  async refs(): Promise<string[]> {
    const { status, body } = await ask(infoRefs(this.sidecar.url, 'r.git'))
    if (status !== 200) throw new Error(`status ${status}`)
    return [...body.toString().matchAll(/ refs\/heads\/(\S+?)[\0\n]/g)].map(([, name = '']) => name)
  }

  api(method: string, path: string, body?: object): Promise<AdminAnswer> {
    return askAdmin(this.sidecar.adminUrl, method, path, body)
  }

  async open(ttlSeconds = 600): Promise<string> {
    const { status, body } = await this.api('POST', '/v1/leases', { repository: 'r.git', ttlSeconds })
    if (status !== 201) throw new Error(`status ${status}`)
    return (body as { id: string }).id
  }

  async end(id: string, body?: object): Promise<number> {
    return (await this.api('DELETE', `/v1/leases/${id}`, body)).status
  }

  async leases(): Promise<Record<string, unknown>[]> {
    const { body } = await this.api('GET', '/v1/leases')
    return (body as { leases: Record<string, unknown>[] }).leases
  }

  branch(name: string): void {
    git(this.repository, 'update-ref', `refs/heads/${name}`, 'refs/heads/main')
  }

  get fills(): number {
    return this.wrapper.count('upload-pack')
  }

  /** Requests until an answer is a hit. */
  async warm(): Promise<void> {
    const hits = (): Promise<number> => this.sidecar.metric('refstream_requests_total', { outcome: 'hit' })
    const before = await hits()
    await eventually('a hit', async () => {
      await this.refs()
      return (await hits()) > before
    })
  }

  /** Returns how many fills these requests cost. */
  async cost(requests: () => Promise<unknown>): Promise<number> {
    const before = this.fills
    await requests()
    return this.fills - before
  }
}

t.test('a change under a lease is seen by the first request after it ends', async (t) => {
  const world = await World.start(t, leaseMode)
  await world.warm()
  for (let round = 0; round < 5; round++) {
    const id = await world.open()
    world.branch(`new-${round}`)
    t.equal(await world.end(id), 204)
    t.ok((await world.refs()).includes(`new-${round}`))
    await world.warm()
    t.equal(await world.cost(() => Promise.all([world.refs(), world.refs()])), 0, 'hits from then on')
  }
  t.equal(await world.sidecar.metric('refstream_repositories', { mode: 'lease', reason: 'configured' }), 1)
  t.equal(await world.sidecar.metric('refstream_leases_ended_total', { end: 'changed' }), 5)
  t.equal(await world.sidecar.metric('refstream_loser_writes_total'), 0)
})

t.test(
  'under a lease each request gets a fill that began after it, one at a time, and nothing is committed',
  async (t) => {
    const world = await World.start(t, leaseMode)
    await world.warm()
    const kept = (): Promise<number> => world.sidecar.metric('refstream_fills_total', { result: 'committed' })
    const before = await kept()
    const id = await world.open()
    world.wrapper.plan(
      'mkdir "$dir/running" || : > "$dir/two"; git "$@"; code=$?; rmdir "$dir/running"; exit $code\n',
    )
    const storms: Promise<void>[] = []
    let requests = 0
    for (let round = 0; round < 5; round++) {
      world.branch(`new-${round}`)
      const request = async (): Promise<void> => {
        requests++
        t.ok((await world.refs()).includes(`new-${round}`), 'the change made before the request')
      }
      storms.push(...Array.from({ length: 20 }, request))
      await request()
    }
    await Promise.all(storms)
    t.notOk(world.wrapper.hasFile('two'), 'no two fills at once')
    t.ok(world.fills < requests / 2, `${requests} requests share ${world.fills} fills`)
    t.equal(await world.cost(() => world.refs()), 1, 'nothing is reused')
    t.equal(await kept(), before)
    world.wrapper.plan(undefined)
    t.equal(await world.end(id), 204)
    t.equal(await world.cost(() => world.refs()), 1)
    await world.warm()
    t.equal(await kept(), before + 1)
  },
)

t.test('the end of a lease: with no change, twice, one of several, by its time limit', async (t) => {
  const world = await World.start(t, leaseMode)
  await world.warm()
  t.equal(await world.cost(async () => world.end(await world.open(), { changed: false })), 0)
  t.equal(await world.cost(() => world.refs()), 0, 'no change: the entry still answers')

  const [one, two] = [await world.open(), await world.open()]
  t.equal(await world.end(one), 204)
  t.equal(await world.end(one), 404, 'it ends once')
  t.equal(await world.cost(() => world.refs()), 1, 'the other is still open')
  t.same(
    (await world.leases()).map(({ id }) => id),
    [two],
  )
  t.equal(await world.end(two, { changed: false }), 204)
  t.equal(await world.cost(() => world.refs()), 1, 'the first ended with a change')
  await world.warm()

  const expired = await world.open(0.001)
  const count = (): Promise<number> =>
    world.sidecar.metric('refstream_leases_ended_total', { end: 'expired' })
  await eventually('it expires', async () => (await count()) === 1)
  t.equal(await world.end(expired, { changed: false }), 404)
  t.equal(await world.cost(() => world.refs()), 1, 'that counts as a change')
  const told = world.sidecar.log.filter(({ msg }) => /a lease expired/.test(String(msg)))
  t.match(told, [{ level: 40, repository: /r\.git$/, ttlSeconds: 0.001 }])
  t.equal(await world.sidecar.metric('refstream_leases_open'), 0)
})

t.test(
  'observe mode: an open lease costs no hits; its end, and an invalidation, cost one fill',
  async (t) => {
    const world = await World.start(t, ['--freshness', 'observe'])
    await world.warm()
    const id = await world.open()
    t.equal(await world.cost(() => Promise.all([world.refs(), world.refs()])), 0)
    await world.end(id)
    t.equal(await world.cost(() => world.refs()), 1, 'although the disk did not change')
    await world.warm()
    t.equal((await world.api('POST', '/v1/invalidate', { repository: 'r.git' })).status, 204)
    t.equal(await world.cost(() => world.refs()), 1)
    await world.warm()
    t.equal(await world.cost(async () => world.end(await world.open(), { changed: false })), 0)
    t.equal(await world.cost(() => world.refs()), 0)
    world.branch('seen')
    t.ok((await world.refs()).includes('seen'), 'other changes are seen on disk')
    t.equal(await world.sidecar.metric('refstream_invalidations_total', { source: 'api' }), 1)
  },
)

t.test('kill -9 with a lease open: after the restart it is still open', async (t) => {
  const world = await World.start(t, leaseMode)
  await world.warm()
  const id = await world.open()
  const gone = await world.open(1.5)
  const before = await world.leases()
  await world.sidecar.stop('SIGKILL')
  await world.restart()
  const known = (await world.leases()).map(({ id: each }) => each)
  t.ok(known.includes(id))
  t.equal(await world.cost(async () => [await world.refs(), await world.refs()]), 2, 'unsettled')
  const ended = (): Promise<number> =>
    world.sidecar.metric('refstream_leases_ended_total', { end: 'expired' })
  await eventually('the other expires', async () => (await ended()) === 1)
  t.same(
    await world.leases(),
    before.filter(({ id: each }) => each !== gone),
  )
  t.equal(await world.cost(() => world.refs()), 1, 'still unsettled')
  t.equal(await world.end(id), 204)
  await world.warm()
  t.same(readdirSync(join(world.cacheDir, 'instance-0/leases')), [])

  // Another process cannot use what was committed in lease mode: leases may have come and gone.
  await world.sidecar.stop('SIGKILL')
  world.branch('meanwhile')
  await world.restart()
  t.ok((await world.refs()).includes('meanwhile'))
})

t.test('an invalidated entry does not come back after kill -9', async (t) => {
  const world = await World.start(t, ['--freshness', 'observe'])
  await world.warm()
  await world.sidecar.stop('SIGKILL')
  await world.restart()
  t.equal(await world.cost(() => world.refs()), 0, 'another one does')
  t.equal((await world.api('POST', '/v1/invalidate', { repository: 'r.git' })).status, 204)
  await world.sidecar.stop('SIGKILL')
  await world.restart()
  t.equal(await world.cost(() => world.refs()), 1)
})

t.test('a push through the sidecar holds a lease while its hooks run, and is seen at once', async (t) => {
  const world = await World.start(t, leaseMode)
  git(world.repository, 'config', 'http.receivepack', 'true')
  const signals = tempDir(t)
  const hook = join(world.repository, 'hooks/post-receive')
  mkdirSync(join(world.repository, 'hooks'), { recursive: true })
  writeFileSync(
    hook,
    `#!/bin/sh\n: > '${signals}/runs'\nwhile [ ! -e '${signals}/go' ]; do sleep 0.01; done\n`,
  )
  chmodSync(hook, 0o755)
  await world.warm()
  const run = promisify(execFile)
  const options = { env: gitEnvironment, encoding: 'utf8' } as const
  const url = `${world.sidecar.url}/r.git`
  const clone = join(tempDir(t), 'clone')
  git(world.root, 'clone', '--quiet', '--mirror', world.repository, clone)
  const push = run('git', ['-C', clone, 'push', '--quiet', url, 'main:refs/heads/pushed'], options)
  await eventually('the hook runs', () => existsSync(join(signals, 'runs')))
  t.match(await world.leases(), [{ repository: 'r.git', reason: 'push' }])
  t.equal(await world.cost(async () => [await world.refs(), await world.refs()]), 2, 'nothing is reused')
  writeFileSync(join(signals, 'go'), '')
  await push
  for (const version of [0, 2]) {
    const { stdout } = await run('git', ['-c', `protocol.version=${version}`, 'ls-remote', url], options)
    t.match(stdout, /refs\/heads\/pushed\n/, `protocol version ${version}`)
  }
  t.same(await world.leases(), [])
  await world.warm()
})

t.test('a change without a lease is seen when the entry has reached its maximum age', async (t) => {
  const world = await World.start(t, ['--freshness', 'r.git=lease', '--unleased-max-age-seconds', '1'])
  await world.refs()
  world.branch('unsaid')
  await eventually('it is seen', async () => (await world.refs()).includes('unsaid'))
  await world.warm()
  await eventually('it is made again, though nothing changed', async () => {
    return (await world.cost(() => world.refs())) === 1
  })
})

t.test('too many directories lead to lease mode automatically, with one line in the log', async (t) => {
  const args = ['--max-ref-directories', '5', '--unleased-max-age-seconds', '3600']
  const world = await World.start(t, args)
  for (let index = 0; index < 5; index++) world.branch(`deep-${index}/x`)
  await world.warm()
  await ask(infoRefs(world.sidecar.url, 'r.git'), { headers: { 'Git-Protocol': 'version=2' } })
  world.branch('unsaid')
  t.notOk((await world.refs()).includes('unsaid'), 'the disk is not observed')
  t.equal(await world.end(await world.open()), 204)
  t.ok((await world.refs()).includes('unsaid'))
  const lines = world.sidecar.log.filter(({ msg }) => /in lease mode/.test(String(msg)))
  t.match(lines, [{ level: 40, reason: 'directories', repository: /r\.git$/, unleasedMaxAgeSeconds: 3600 }])
  t.equal(lines.length, 1)
  const count = (labels: Record<string, string>) => world.sidecar.metric('refstream_repositories', labels)
  t.equal(await count({ mode: 'lease', reason: 'directories' }), 1)
  t.equal(await count({ mode: 'observe' }), 0)
})
