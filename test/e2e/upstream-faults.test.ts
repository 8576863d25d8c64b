import t, { type Test } from 'tap'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { startFaultProxy, type Fault, type ProxiedRequest } from '../support/fault-proxy.js'
import { complaint, gitClient, type GitClient } from '../support/git-client.js'
import { inventory, makePackRepository } from '../support/pack-repository.js'
import { startPlainServer } from '../support/plain-server.js'
import { addPackedBranches, git } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

// Each fault costs some processes; a busy machine takes long.
t.setTimeout(600_000)

const root = tempDir(t)
const repository = makePackRepository(root, 'r.git', { bulk: 200_000 })
git(repository, 'config', 'http.receivepack', 'true')
addPackedBranches(repository, 500)
const server = await startPlainServer(t, root)
const proxy = await startFaultProxy(t, { target: server })
const limits = ['head', 'silence'].flatMap((which) => [`--upstream-${which}-seconds`, '4'])
const sidecar = await startSidecar(t, undefined, {
  args: ['--upstream', proxy.url, ...limits, '--pass-through-silence-seconds', '4'],
})
const direct = await startSidecar(t, root)

/** Spoils the answer to one kind of question only. */
type Kind = (request: ProxiedRequest) => boolean
const isGet: Kind = ({ method, path }) => method === 'GET' && path.endsWith('service=git-upload-pack')
const isV2: Kind = ({ headers }) => headers['git-protocol'] === 'version=2'
const isPost: Kind = ({ method, path }) => method === 'POST' && path.endsWith('/git-upload-pack')
/** Only questions about refs are answered compressed. */
const isAboutRefs: Kind = ({ headers }) => headers['accept-encoding'] !== undefined

/** What a client does; resolves with what it has got. */
type Client = (client: GitClient, work: string, base: string) => Promise<string>
const lsRemote: Client = (client, work, base) => client(work, 'ls-remote', '--symref', `${base}/r.git`)
const clone: Client = async (client, work, base) => {
  await client(work, 'clone', '--quiet', '--bare', '--single-branch', `${base}/r.git`, 'clone')
  return inventory(join(work, 'clone'))
}
const fetch: Client = async (client, work, base) => {
  await client(work, 'init', '--quiet', '--bare', 'clone')
  const path = join(work, 'clone')
  await client(path, 'fetch', '--quiet', '--depth=1', `${base}/r.git`, 'main:refs/heads/main')
  return inventory(path)
}

const kinds: { what: string; version: 0 | 2; client: Client; when: Kind }[] = [
  { what: 'an advertisement', version: 0, client: lsRemote, when: (one) => isGet(one) && !isV2(one) },
  { what: 'capabilities', version: 2, client: lsRemote, when: (one) => isGet(one) && isV2(one) },
  {
    ...{ what: 'ls-refs', version: 2, client: lsRemote },
    when: (one) => isPost(one) && isV2(one) && isAboutRefs(one),
  },
  { what: 'the pack of a clone', version: 2, client: clone, when: (one) => isPost(one) && !isAboutRefs(one) },
  { what: 'the pack of a fetch', version: 0, client: fetch, when: (one) => isPost(one) && !isAboutRefs(one) },
]

const answer = (status: number): Fault => ({
  kind: 'answer',
  status,
  headers: { 'Content-Type': 'text/plain' },
  body: 'no',
})
const faults: Fault[] = [
  ...[0, 40, 420, 5000, 30_000].map((after) => ({ kind: 'reset', after }) as const),
  ...[40, 420].map((after) => ({ kind: 'close', after }) as const),
  ...[0, -1].map((after) => ({ kind: 'truncated-chunks', after }) as const),
  ...[7, -7].map((by) => ({ kind: 'wrong-length', by }) as const),
  ...[{ kind: 'garbage' } as const, answer(500), answer(503)],
]

/** Runs a client, which must get what a direct one gets, or see an error. @returns the error */
async function outcome(
  t: Test,
  { version, client }: Pick<(typeof kinds)[number], 'version' | 'client'>,
  expected: string,
  message: string,
): Promise<string | undefined> {
  const running = client(gitClient(version), tempDir(t), sidecar.url)
  const result = await running.catch((error: unknown) => error as { stderr: string })
  if (typeof result === 'string') t.ok(result === expected, `${message}: a whole answer`)
  else t.match(result.stderr, /\S/, `${message}: an error`)
  return typeof result === 'string' ? undefined : result.stderr
}

/** Entries that a fault has not reached must not answer in the next case: each case asks for something new. */
async function forget(): Promise<void> {
  const now = git(repository, 'rev-parse', 'main')
  const tree = git(repository, 'rev-parse', 'main^{tree}')
  git(repository, 'update-ref', 'refs/heads/main', git(repository, 'commit-tree', tree, '-p', now, '-m', 'x'))
}

for (const kind of kinds) {
  t.test(`faults in the answer to ${kind.what}`, { timeout: 0 }, async (t) => {
    const isReached = (fault: Fault): boolean =>
      kind.what !== 'capabilities' || !('after' in fault) || fault.after < 1000
    for (const fault of faults.filter(isReached)) {
      await forget()
      const message = JSON.stringify(fault)
      const expected = await kind.client(gitClient(kind.version), tempDir(t), direct.url)
      const before = proxy.requests.length
      proxy.fault(fault, kind.when)
      const error = await outcome(t, kind, expected, message)
      t.ok(proxy.requests.slice(before).some(kind.when), `${message}: the question was asked`)
      proxy.clear()
      if (error === undefined) continue
      if ('status' in fault)
        t.match(error, new RegExp(`${fault.status}|503`), `${message}: it says what the upstream said`)
      const again = await outcome(t, kind, expected, `${message}, then none`)
      t.equal(again, undefined, `${message}: the next client gets an answer`)
    }
    t.equal(await sidecar.metric('refstream_upstream_breaker_open'), 0)
  })
}

t.test('an upstream that hangs fails its clients after the time limit', { timeout: 0 }, async (t) => {
  for (const [kind, after] of [
    [kinds[0]!, 0],
    [kinds[2]!, 420],
    [kinds[3]!, 30_000],
  ] as const) {
    await forget()
    proxy.fault({ kind: 'hang', after }, kind.when)
    const failure = await complaint(kind.client(gitClient(kind.version), tempDir(t), sidecar.url))
    t.match(failure, /503|unable to access|early EOF|disconnect|unexpected/, kind.what)
    proxy.clear()
    const expected = await kind.client(gitClient(kind.version), tempDir(t), direct.url)
    t.equal(await outcome(t, kind, expected, kind.what), undefined, `${kind.what}: and then it answers`)
  }
})

t.test('an upstream that is slow, but not silent, gives whole answers', { timeout: 0 }, async (t) => {
  for (const kind of kinds.slice(1, 4)) {
    await forget()
    const expected = await kind.client(gitClient(kind.version), tempDir(t), direct.url)
    proxy.fault({ kind: 'slow', bytesPerSecond: 60_000 }, kind.when)
    t.equal(await outcome(t, kind, expected, kind.what), undefined)
    proxy.clear()
  }
})

t.test('pushes: a fault is an error, and the next push is received', { timeout: 0 }, async (t) => {
  const isAdvertised: Kind = ({ path }) => path.endsWith('service=git-receive-pack')
  const isPush: Kind = ({ method, path }) => method === 'POST' && path.endsWith('/git-receive-pack')
  const some: Fault[] = [
    { kind: 'reset', after: 0 },
    { kind: 'reset', after: 300 },
    { kind: 'truncated-chunks', after: 10 },
    { kind: 'garbage' },
    answer(503),
    { kind: 'hang', after: 0 },
  ]
  const work = tempDir(t)
  for (const version of [0, 2] as const) {
    const client = gitClient(version)
    const path = join(work, `clone${version}`)
    await client(work, 'clone', '--quiet', '--single-branch', `${direct.url}/r.git`, path)
    for (const [index, when] of [isAdvertised, isPush].entries()) {
      for (const fault of version === 0 ? some : some.slice(0, 2)) {
        const message = `v${version}, ${index ? 'push' : 'advertisement'}, ${JSON.stringify(fault)}`
        // So long that it is sent in chunks, which can be sent only once.
        writeFileSync(join(path, 'file'), randomBytes(1_500_000))
        await client(path, 'add', 'file')
        await client(path, 'commit', '--quiet', '-m', message)
        const commit = await client(path, 'rev-parse', 'HEAD')
        const push = ['push', `${sidecar.url}/r.git`, `HEAD:refs/heads/pushed${version}`]
        proxy.fault(fault, when)
        const failure = await client(path, ...push).then(
          () => undefined,
          (error: unknown) => (error as { stderr: string }).stderr,
        )
        proxy.clear()
        if (failure === undefined)
          t.equal(git(repository, 'rev-parse', `pushed${version}`), commit, `${message}: it succeeded`)
        else t.match(failure, /error|fatal/, `${message}: an error`)
        await client(path, ...push)
        t.equal(
          git(repository, 'rev-parse', `pushed${version}`),
          commit,
          `${message}: and then it is received`,
        )
        const seen = await client(work, 'ls-remote', `${sidecar.url}/r.git`, `refs/heads/pushed${version}`)
        t.equal(seen, `${commit}\trefs/heads/pushed${version}`, `${message}: and seen`)
      }
    }
  }
})

t.test('nothing is left', async (t) => {
  await eventually(
    'all requests have ended',
    async () => (await sidecar.metric('refstream_requests_under_way')) === 0 && proxy.running.now === 0,
  )
  t.equal(await sidecar.metric('refstream_followers'), 0)
  t.equal(await sidecar.metric('refstream_leases_open'), 0, 'no lease of a push')
  t.equal(await sidecar.metric('refstream_processes_running'), 0)
  t.ok(proxy.connections.most <= 32, 'connections were bounded')
  await eventually('both sides know the same connections', async () => {
    return (await sidecar.metric('refstream_upstream_connections')) === proxy.connections.open
  })
  t.equal(await sidecar.metric('refstream_process_permits_held'), 0)
})
