// What every origin must do, whatever is behind it. The repositories are the same; what differs is how they are reached.
import t, { type Test } from 'tap'
import { realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { PackRefused } from '../../src/git/process/pack-answer.js'
import { pktLine } from '../../src/git/protocol/pkt-line.js'
import { refusalOf } from '../../src/origin/faults/faults.js'
import type { Origin, RefsAsked } from '../../src/origin/origin.js'
import type { PackAnswer, PackClient } from '../../src/origin/pack-answer.js'
import type { OriginResponse, PassThroughRequest } from '../../src/origin/pass-through.js'
import type { Target } from '../../src/origin/target.js'
import type { Follower } from '../../src/streamcache/index.js'
import { runHttpBackend } from '../support/cgi.js'
import { eventually } from '../support/eventually.js'
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.js'
import { parsed, v2 } from '../support/fetch-requests.js'
import { completeQuery, queryOf, refsIn } from '../support/ref-answers.js'
import { openOriginsOf, type OpenedOrigins } from '../support/origins.js'
import { passThroughRequestOf, wholeBody } from '../support/pass-through-request.js'
import { collect } from '../support/producers.js'
import { git, gitWith, initBare, makeCommit, makeRepository } from '../support/repositories.js'
import { startSmartServer } from '../support/smart-server.js'
import { tempDir } from '../support/temp-dir.js'

/** An origin, and the repository `r.git` that it answers for. */
interface Opened {
  readonly origin: Origin
  readonly target: Target
  /** The directory that has the repository, and the repository's own. */
  readonly root: string
  readonly repository: string
  readonly origins: OpenedOrigins
  /** In front of the upstream. */
  readonly proxy: FaultProxy | undefined
  /** Has the repository changed behind the origin: by a commit on main, whose id is returned. */
  push(): string
  /** Tells the origin of a change, if it must be told. */
  changed(): void
  remove(): void
}

interface OpenOptions {
  readonly empty?: boolean
}

function repositoryFor(t: Test, { empty }: OpenOptions) {
  const root = realpathSync(tempDir(t))
  return { root, repository: empty ? initBare(root, 'r.git') : makeRepository(root, 'r.git') }
}

function opened(
  origins: OpenedOrigins,
  { root, repository }: { root: string; repository: string },
  proxy?: FaultProxy,
  changed: () => void = () => {},
): Opened {
  let pushes = 0
  return {
    ...{ origins, origin: origins.origin, target: { path: 'r.git' }, root, repository, proxy, changed },
    push: () => {
      const commit = makeCommit(repository, `push ${++pushes}`)
      git(repository, 'update-ref', 'refs/heads/main', commit)
      changed()
      return commit
    },
    remove: () => {
      rmSync(repository, { recursive: true })
      changed()
    },
  }
}

async function openDisk(t: Test, options: OpenOptions = {}): Promise<Opened> {
  const places = repositoryFor(t, options)
  return opened(await openOriginsOf(t, { root: places.root }), places)
}

async function openUpstream(
  t: Test,
  options: OpenOptions = {},
  flags: Readonly<Record<string, string>> = {},
): Promise<Opened> {
  const places = repositoryFor(t, options)
  const proxy = await startFaultProxy(t, { target: await startSmartServer(t, places.root) })
  const origins = await openOriginsOf(t, { upstream: proxy.url, ...flags })
  return opened(origins, places, proxy, () => {
    const subject = origins.subjects.find('r.git') as string
    if (flags['upstreamFreshness'] !== undefined) origins.leases.invalidate(subject)
  })
}

/** Answers may be old, but for what the origin was told of. */
const openBounded = (t: Test, options?: OpenOptions): Promise<Opened> =>
  openUpstream(t, options, { upstreamFreshness: 'bounded:3600', authCacheSeconds: '60' })

/** The server's repositories are here too. */
async function openBoth(
  t: Test,
  options: OpenOptions = {},
  flags: Readonly<Record<string, string>> = {},
): Promise<Opened> {
  const places = repositoryFor(t, options)
  const proxy = await startFaultProxy(t, { target: await startSmartServer(t, places.root) })
  return opened(await openOriginsOf(t, { root: places.root, upstream: proxy.url, ...flags }), places, proxy)
}

/** There is a root, but only the server has the repository. */
const openElsewhere = async (t: Test, options: OpenOptions = {}): Promise<Opened> =>
  openUpstream(t, options, { root: realpathSync(tempDir(t)) })

const openers = {
  disk: openDisk,
  upstream: openUpstream,
  'upstream, bounded': openBounded,
  both: openBoth,
  'both, not on the disk': openElsewhere,
} as const

const advertised = async ({ origin, target }: Opened, version: 0 | 1 | 2): Promise<string> => {
  const reading = await origin.advertise(target, version, true)
  if (!reading) throw new Error('there is no advertisement to share')
  return (await collect(reading.follower)).toString('latin1')
}

const listed = async ({ origin, target }: Opened, asked: RefsAsked = {}): Promise<string> => {
  const query = queryOf(asked)
  const answer = await origin.listRefs(target, asked)
  if (!answer) throw new Error('there is no listing')
  const parts: Buffer[] = []
  for await (const part of answer.listing.cut(query)) parts.push(part)
  return Buffer.concat(parts).toString('latin1')
}

/** What Git itself answers. */
const byGit = ({ root }: Opened, target: string, gitProtocol?: string, body?: Buffer): string =>
  runHttpBackend(root, {
    target: `/r.git${target}`,
    gitProtocol,
    ...(body && {
      ...{ method: 'POST', body },
      headers: {
        'content-type': 'application/x-git-upload-pack-request',
        'content-length': String(body.length),
      },
    }),
  }).body

const listedByGit = (opened: Opened, asked: RefsAsked = {}): string =>
  byGit(opened, '/git-upload-pack', 'version=2', completeQuery(asked))

class Client implements PackClient {
  readonly admitted = true
  readonly followers: Follower[] = []

  attached(follower: Follower): void {
    this.followers.push(follower)
  }

  throwIfAborted(): void {}
}

const fetchOf = (want: string, ...lines: readonly string[]) =>
  parsed(v2(['object-format=sha1'], [`want ${want}`, 'ofs-delta', 'no-progress', ...lines, 'done']))

async function packOf({ first, follower }: PackAnswer): Promise<string> {
  const rest: Buffer[] = first ? [first] : []
  for (let chunk = first && (await follower.read()); chunk; chunk = await follower.read()) rest.push(chunk)
  follower.close()
  return Buffer.concat(rest).toString('latin1')
}

const neverAborts = (): AbortSignal => new AbortController().signal
const admission = { admitted: true, queueing: neverAborts(), signal: neverAborts() }

async function bodyOf(response: OriginResponse): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response.body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('latin1')
}

/** A push of a new branch that points to an object that is there. */
function pushOf(repository: string, branch: string): PassThroughRequest {
  const commit = git(repository, 'rev-parse', 'main')
  const command = `${'0'.repeat(40)} ${commit} refs/heads/${branch}\0 report-status`
  const pack = gitWith({ cwd: repository, encoding: 'latin1' }, 'pack-objects', '--stdout', '-q')
  const body = `${pktLine(command).toString()}0000${pack}`
  const type = 'application/x-git-receive-pack-request'
  return passThroughRequestOf({
    ...{ method: 'POST', uri: '/r.git/git-receive-pack', resource: '/git-receive-pack' },
    headers: ['Content-Type', type, 'Content-Length', String(body.length)],
    ...{ contentType: type, contentLength: String(body.length), body: wholeBody(body), remoteUser: 'tester' },
  })
}

for (const [name, open] of Object.entries(openers)) {
  t.test(`${name}: advertisements are those of Git`, async (t) => {
    const origin = await open(t)
    for (const version of [0, 1, 2] as const) {
      const ofGit = byGit(origin, '/info/refs?service=git-upload-pack', `version=${version}`)
      for (const time of ['first', 'second'])
        t.equal(await advertised(origin, version), ofGit, `version ${version}, ${time} time`)
      const chunks = await origin.origin.advertiseUncached(origin.target, version, {}, neverAborts())
      const parts: Buffer[] = []
      for await (const chunk of chunks) parts.push(Buffer.from(chunk))
      t.equal(Buffer.concat(parts).toString('latin1'), ofGit, `version ${version}, uncached`)
    }
    const overrides = { configOptions: ['no value'] }
    await t.rejects(origin.origin.advertiseUncached(origin.target, 0, overrides, neverAborts()), {
      name: 'InvalidGitOverrides',
    })
  })

  t.test(`${name}: listings are those of Git`, async (t) => {
    const origin = await open(t)
    git(origin.repository, 'branch', 'feature/one')
    git(origin.repository, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/main')
    origin.changed()
    const asked: RefsAsked[] = [
      { objectFormat: 'sha1' },
      { objectFormat: 'sha1', prefixes: ['refs/heads/'] },
      { objectFormat: 'sha1', prefixes: ['refs/tags/', 'HEAD', 'refs/heads/feature/', 'refs/heads/f'] },
      { objectFormat: 'sha1', prefixes: ['refs/none/'] },
      { objectFormat: 'sha1', unborn: true },
      { unborn: true },
    ]
    for (const each of asked) t.equal(await listed(origin, each), listedByGit(origin, each))
    const refs = refsIn(await listed(origin))
    t.match(refs.get('refs/tags/v1'), /^[0-9a-f]{40} refs\/tags\/v1 peeled:[0-9a-f]{40}$/)
    t.match(refs.get('HEAD'), / symref-target:refs\/heads\/main$/)
    t.match(refs.get('refs/heads/alias'), / symref-target:refs\/heads\/main$/)
  })

  t.test(`${name}: an empty repository has an unborn HEAD and nothing else`, async (t) => {
    const origin = await open(t, { empty: true })
    for (const asked of [{ unborn: true }, { unborn: false }, { unborn: true, prefixes: ['refs/heads/'] }])
      t.equal(await listed(origin, asked), listedByGit(origin, asked))
    const ofGit = byGit(origin, '/info/refs?service=git-upload-pack')
    t.equal(await advertised(origin, 0), ofGit)
  })

  t.test(`${name}: an answer has every change that finished before it was asked for`, async (t) => {
    const origin = await open(t)
    for (let round = 0; round < 5; round++) {
      const commit = origin.push()
      const refs = refsIn(await listed(origin))
      t.equal(refs.get('refs/heads/main'), `${commit} refs/heads/main`)
      t.ok((await advertised(origin, 0)).includes(`${commit} refs/heads/main`))
    }
  })

  t.test(`${name}: identical questions at once share an answer`, async (t) => {
    const origin = await open(t)
    const before = origin.proxy?.requests.length ?? 0
    const all = await Promise.all(Array.from({ length: 50 }, () => listed(origin, { objectFormat: 'sha1' })))
    t.same(new Set(all), new Set([listedByGit(origin)]))
    // Git, or the upstream's verdict and the upstream; a state on the disk that is not settled costs one more.
    t.ok((await origin.origins.counted('refstream_fills_total', { kind: 'listing' })) <= 2)
    t.ok((origin.proxy?.requests.length ?? 0) - before <= 2)
  })

  t.test(`${name}: a fetch is answered with a pack, and shared`, async (t) => {
    const origin = await open(t)
    const tip = git(origin.repository, 'rev-parse', 'main')
    const asked: Parameters<typeof fetchOf>[] = [[tip], [tip, 'deepen 1', 'thin-pack'], [tip, 'include-tag']]
    for (const each of asked) {
      const client = new Client()
      const ask = async (): Promise<PackAnswer> => {
        const answer = await origin.origin.fetch(origin.target, fetchOf(...each), client)
        if (!answer) throw new Error('the fetch is not shared')
        return answer
      }
      const first = await packOf(await ask())
      t.match(first, /^[0-9a-f]{4}(?:shallow-info|packfile)\n/, each.join(' '))
      t.match(first, /0000$/)
      const second = await ask()
      t.match(second.reuse, /^(?:hit|joined)$/)
      t.equal(await packOf(second), first)
      t.ok(client.followers.length >= 2, 'the client knows its followers')
    }
  })

  t.test(`${name}: a fetch that Git refuses is refused with Git’s message`, async (t) => {
    const origin = await open(t)
    const want = '1'.repeat(40)
    const error: unknown = await origin.origin.fetch(origin.target, fetchOf(want), new Client()).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    t.type(refusalOf(error), PackRefused)
    t.match(refusalOf(error)?.answer.toString(), new RegExp(`not our ref ${want}`))
    const tip = git(origin.repository, 'rev-parse', 'main')
    const answer = await origin.origin.fetch(origin.target, fetchOf(tip), new Client())
    t.ok(answer && (await packOf(answer)), 'the next fetch is answered')
  })

  t.test(`${name}: a client that leaves takes its follower along, and nobody else’s`, async (t) => {
    const origin = await open(t)
    const tip = git(origin.repository, 'rev-parse', 'main')
    const leaving = new Client()
    leaving.attached = (follower) => follower.close()
    const staying = new Client()
    const [left, stayed] = await Promise.allSettled([
      origin.origin.fetch(origin.target, fetchOf(tip), leaving),
      origin.origin.fetch(origin.target, fetchOf(tip), staying),
    ])
    t.equal(left.status, 'rejected')
    t.ok(stayed.status === 'fulfilled' && stayed.value && (await packOf(stayed.value)))
    const { origins } = origin
    await eventually('no follower is left', () => origins.packStreams.followers === 0)
    await eventually('no follower is left', () => origins.cache.followers === 0)
  })

  t.test(`${name}: what Git’s clients ask before a push, and dumb files, pass through`, async (t) => {
    const origin = await open(t)
    const before = await origin.origin.passThrough(
      origin.target,
      passThroughRequestOf({
        ...{ uri: '/r.git/info/refs?service=git-receive-pack', resource: '/info/refs' },
        ...{ service: 'git-receive-pack', remoteUser: 'tester' },
      }),
      admission,
    )
    t.equal(before.status, 200)
    t.match(await bodyOf(before), /^001f# service=git-receive-pack\n0000/)
    t.equal(await before.whole(), true)
    const head = await origin.origin.passThrough(origin.target, passThroughRequestOf(), admission)
    t.equal(await bodyOf(head), 'ref: refs/heads/main\n')
    const none = passThroughRequestOf({ uri: '/r.git/objects/info/none', resource: '/objects/info/none' })
    const missing = await origin.origin.passThrough(origin.target, none, admission)
    t.equal(missing.status, 404)
    missing.end()
  })

  t.test(`${name}: an answer to HEAD that passes through is given up after its head`, async (t) => {
    const origin = await open(t)
    const asked = passThroughRequestOf({ method: 'HEAD' })
    const answer = await origin.origin.passThrough(origin.target, asked, admission)
    t.equal(answer.status, 200)
    // Git may send a body even so: an answer to HEAD is given up after its head.
    answer.end()
    const next = await origin.origin.passThrough(origin.target, passThroughRequestOf(), admission)
    t.equal(await bodyOf(next), 'ref: refs/heads/main\n')
  })

  t.test(`${name}: a push is in the next answer`, async (t) => {
    const origin = await open(t)
    t.notOk((await listed(origin)).includes('refs/heads/pushed'))
    for (const branch of ['pushed', 'pushed-again']) {
      const answer = await origin.origin.mutate(origin.target, pushOf(origin.repository, branch), admission)
      t.equal(answer.status, 200)
      t.match(await bodyOf(answer), new RegExp(`ok refs/heads/${branch}\n`))
      t.equal(await answer.whole(), true)
      t.ok((await listed(origin)).includes(`refs/heads/${branch}\n`))
    }
    await eventually('no lease is left', () => origin.origins.leases.list().length === 0)
  })

  t.test(`${name}: a repository that is not there has no answer of any kind`, async (t) => {
    const origin = await open(t)
    await listed(origin)
    origin.remove()
    const refusal = (error: unknown): boolean =>
      /^(?:RepositoryNotFound|UpstreamRefusal)$/.test((error as Error).name)
    const tip = '1'.repeat(40)
    const asked: (() => Promise<unknown>)[] = [
      () => origin.origin.advertise(origin.target, 0),
      () => origin.origin.advertise(origin.target, 2),
      () => origin.origin.listRefs(origin.target, { objectFormat: 'sha1' }),
      () => origin.origin.fetch(origin.target, fetchOf(tip), new Client()),
    ]
    for (const ask of asked) {
      const error: unknown = await ask().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      t.ok(error && refusal(error), String(error))
    }
    const { origins } = origin
    await eventually('no follower is left', () => origins.cache.followers === 0)
  })
}

for (const [name, open] of Object.entries({ upstream: openUpstream, elsewhere: openElsewhere })) {
  t.test(`${name}: an answer that is cut off is an error, and never short`, async (t) => {
    const origin = await open(t)
    const proxy = origin.proxy!
    const question = (path: string) => (request: { path: string }) => request.path.endsWith(path)
    for (const kind of ['reset', 'close', 'truncated-chunks'] as const) {
      const after = kind === 'truncated-chunks' ? 60 : 260
      proxy.fault({ kind, after }, question('/git-upload-pack'))
      await t.rejects(listed(origin, { objectFormat: 'sha1', prefixes: ['refs/', kind] }), kind)
      proxy.clear()
    }
    const asked = { objectFormat: 'sha1', prefixes: ['refs/'] }
    t.equal(await listed(origin, asked), listedByGit(origin, asked), 'the next answer is whole')
  })

  t.test(`${name}: a client that leaves while it waits ends the question`, async (t) => {
    const origin = await open(t)
    const proxy = origin.proxy!
    proxy.fault({ kind: 'hang', after: 0 }, () => true, Infinity)
    const asked: ((target: Target) => Promise<unknown>)[] = [
      (target) => origin.origin.advertise(target, 0),
      (target) => origin.origin.advertise(target, 2),
      (target) => origin.origin.listRefs(target, { objectFormat: 'sha1' }),
      (target) => origin.origin.fetch(target, fetchOf('1'.repeat(40)), new Client()),
    ]
    for (const ask of asked) {
      const controller = new AbortController()
      const answer = ask({ ...origin.target, client: controller })
      await eventually('the question hangs', () => proxy.running.now === 1)
      controller.abort(new Error('the client has left'))
      await t.rejects(answer, { message: 'the client has left' })
      await eventually('the question has ended', () => proxy.running.now === 0)
    }
    proxy.clear()
    t.equal(await listed(origin), listedByGit(origin), 'the next client is answered')
  })
}

t.test('both: a name that the server has given up is not answered from the disk', async (t) => {
  const origin = await openBoth(t, {}, { authCacheSeconds: '0' })
  await listed(origin)
  origin.proxy!.fault({ kind: 'answer', status: 404 }, () => true, Infinity)
  for (const version of [0, 2] as const)
    await t.rejects(origin.origin.advertise(origin.target, version), { name: 'UpstreamRefusal', status: 404 })
  await t.rejects(origin.origin.listRefs(origin.target), { name: 'UpstreamRefusal', status: 404 })
})

t.test('both: a glob’s upstream does not answer for other repositories', async (t) => {
  const places = repositoryFor(t, {})
  const proxy = await startFaultProxy(t, { target: await startSmartServer(t, join(places.root, 'none')) })
  const origins = await openOriginsOf(t, { root: places.root, upstream: `other/**=${proxy.url}` })
  const origin = opened(origins, places, proxy)
  t.equal(await listed(origin), listedByGit(origin))
  const head = await origin.origin.passThrough(origin.target, passThroughRequestOf(), admission)
  t.equal(await bodyOf(head), 'ref: refs/heads/main\n')
  const push = await origin.origin.mutate(origin.target, pushOf(origin.repository, 'pushed'), admission)
  t.match(await bodyOf(push), /ok refs\/heads\/pushed/)
  t.equal(proxy.requests.length, 0)
})
