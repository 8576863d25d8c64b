import t, { type Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { follow, type FollowedRequest, type Following } from '../support/fleet/following.js'
import { startFleet } from '../support/fleet/nodes.js'
import { skipRedis, startRedis } from '../support/fleet/redis.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { startPlainServer } from '../support/plain-server.js'
import { askFor, refsIn, type Question, type Who } from '../support/permission-client.js'
import { PermissionServer } from '../support/permission-server.js'
import { completeQuery } from '../support/ref-answers.js'
import { addPackedBranches, git, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

if (skipRedis) {
  t.plan(0, skipRedis)
  process.exit()
}
t.setTimeout(120_000)

const lsRefs: FollowedRequest = {
  path: '/r.git/git-upload-pack',
  headers: { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' },
  body: completeQuery({}),
}

/** An upstream that notes when a process for ls-refs begins and ends, and may keep them waiting. */
async function startUpstream(t: Test, wait: string) {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  addPackedBranches(repository, 500)
  const wrapper = makeGitWrapper(t)
  wrapper.plan(
    `[ "$REQUEST_METHOD" = POST ] || exec git "$@"
     echo + >> "$dir/posts"; ${wait}; git "$@"; code=$?; echo - >> "$dir/posts"; exit $code\n`,
    'http-backend',
  )
  const url = await startPlainServer(t, root, wrapper.path)
  const marks = (): string[] =>
    wrapper.hasFile('posts') ? wrapper.read('posts').split('\n').filter(Boolean) : []
  return {
    ...{ repository, url, wrapper },
    requests: (): number => wrapper.count('http-backend'),
    asked: (): number => marks().filter((mark) => mark === '+').length,
    /** Most processes for ls-refs at once. */
    most: (): number => {
      let [now, most] = [0, 0]
      for (const mark of marks()) {
        now += mark === '+' ? 1 : -1
        most = Math.max(most, now)
      }
      return most
    },
  }
}

/** Starts three nodes before an upstream, of one fleet or without one. */
async function startNodes(t: Test, upstream: string, mode: string, isFleet: boolean) {
  const args = ['--upstream', upstream, '--upstream-freshness', mode]
  if (!isFleet) return Promise.all([0, 1, 2].map(() => startSidecar(t, undefined, { args })))
  const { port } = await startRedis(t)
  return (await startFleet(t, { root: undefined, engine: `redis://127.0.0.1:${port}`, args })).nodes
}

const askOf = (nodes: readonly SpawnedSidecar[], index: number): Following => {
  const { pid, url } = nodes[index % nodes.length]!
  return follow({ pid, url, agent: false }, lsRefs)
}

/** Runs 60 clients that ask again and again, while refs change. @returns how many answers they have got */
async function load(t: Test, nodes: readonly SpawnedSidecar[], repository: string, maxAgeMs: number) {
  const commit = git(repository, 'rev-parse', 'main')
  /** When each push had ended. */
  const pushed: number[] = []
  let isOver = false
  let answers = 0
  const clients = Array.from({ length: 60 }, async (_, index) => {
    while (!isOver) {
      const sentMs = performance.now()
      const answer = await askOf(nodes, index).answer
      const body = answer?.body.toString('latin1') ?? ''
      if (answer?.status !== 200 || !body.endsWith('0000'))
        throw new Error(`a client got ${answer?.status ?? 'a broken answer'}`)
      const due = pushed.filter((endMs) => endMs <= sentMs - maxAgeMs).length
      const seen = body.match(/ refs\/heads\/n\/\d+/g)?.length ?? 0
      if (seen < due) t.fail(`stale: ${seen} pushes of ${due}`)
      answers++
    }
  })
  for (let push = 0; push < 6; push++) {
    await sleep(200)
    git(repository, 'update-ref', `refs/heads/n/${push}`, commit)
    pushed.push(performance.now())
  }
  isOver = true
  await Promise.all(clients)
  return answers
}

for (const [mode, maxAgeMs] of [
  ['exact', 0],
  ['bounded:0.5', 500],
] as const) {
  t.test(`three nodes of a fleet ask an upstream one by one: ${mode}`, async (t) => {
    for (const isFleet of [false, true]) {
      const upstream = await startUpstream(t, 'sleep 0.03')
      const nodes = await startNodes(t, upstream.url, mode, isFleet)
      const answers = await load(t, nodes, upstream.repository, maxAgeMs)
      const kind = isFleet ? 'a fleet' : 'alone'
      t.comment(`${mode}, ${kind}: ${answers} answers, ${upstream.requests()} requests to the upstream`)
      if (isFleet) t.equal(upstream.most(), 1)
      await Promise.all(nodes.map((node) => node.stop('SIGKILL')))
    }
  })
}

t.test('clients that come while the upstream is asked share what is asked next', async (t) => {
  for (const isFleet of [false, true]) {
    const upstream = await startUpstream(t, 'while [ ! -f "$dir/go" ]; do sleep 0.01; done')
    const nodes = await startNodes(t, upstream.url, 'exact', isFleet)
    const first = Array.from({ length: 3 }, (_, index) => askOf(nodes, index))
    await eventually('the upstream is asked', () => upstream.asked() === (isFleet ? 1 : 3))
    const late = Array.from({ length: 60 }, (_, index) => askOf(nodes, index))
    await eventually('all clients wait', async () => {
      const counts = nodes.map((node) => node.metric('refstream_requests_under_way'))
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0) >= 63
    })
    upstream.wrapper.signal('go')
    for (const { answer } of [...first, ...late]) t.match(await answer, { status: 200 })
    t.comment(`${isFleet ? 'a fleet' : 'alone'}: the upstream was asked ${upstream.asked()} times`)
    if (isFleet) t.equal(upstream.most(), 1)
    else t.equal(upstream.asked(), 6, 'each node has asked twice')
    if (isFleet) t.ok(upstream.asked() <= 4)
  }
})

const basic = `Basic ${Buffer.from('alice:hunter2-of-alice').toString('base64')}`
const people = {
  anonymous: {},
  alice: { Authorization: basic },
  bob: { Authorization: 'Bearer token-of-bob' },
  stranger: { Authorization: 'Bearer token-of-nobody' },
} satisfies Record<string, Who>

for (const view of ['credential', 'shared']) {
  t.test(`refusals and credentials stay with their clients: ${view}`, async (t) => {
    const upstream = await new PermissionServer(
      {
        users: { [basic]: 'alice', 'Bearer token-of-bob': 'bob' },
        repositories: { 'team/secret': { readers: ['alice'], content: 'secret' } },
      },
      view === 'shared',
    ).start(t)
    upstream.beforeAnswer = () => sleep(20)
    const redis = await startRedis(t)
    const args = ['--upstream', upstream.url, '--upstream-view', view, '--log-level', 'trace']
    const engine = `redis://127.0.0.1:${redis.port}`
    const { nodes } = await startFleet(t, { root: undefined, engine, args })
    const expected = { anonymous: 401, alice: 200, bob: 404, stranger: 401 }
    const questions: Question[] = ['v2', 'v0', 'refs/', 'refs/heads/', 'refs/users/']
    for (let round = 0; round < 3; round++) {
      const asked = questions.flatMap((question) =>
        nodes.flatMap(({ url }) =>
          Object.entries(people).map(async ([name, who]) => {
            const answer = await askFor(url, 'team/secret', question, who)
            t.equal(answer.status, expected[name as keyof typeof people], `${name} asks ${question}`)
            const refs = Object.keys(refsIn(answer))
            if (name !== 'alice') t.same(refs, [])
            else if (question === 'refs/') t.ok(refs.includes('refs/heads/main'))
          }),
        ),
      )
      await Promise.all(asked)
    }
    const secrets = [basic.slice(6), 'hunter2', 'token-of', 'refs/heads', 'secret']
    const stored = await dumpOf(redis)
    t.match(stored, /\w/, 'the engine was used')
    const logged = nodes.map(({ log }) => JSON.stringify(log)).join('\n')
    for (const secret of secrets) {
      t.notOk(stored.includes(secret), `${secret} is not in the engine`)
      if (secret !== 'secret') t.notOk(logged.includes(secret), `${secret} is not logged`)
    }
  })
}

/** Returns all keys and values of a Redis. */
async function dumpOf({ command }: { command: (...words: string[]) => Promise<string> }): Promise<string> {
  const keys = (await command('KEYS', '*')).split('\n').filter(Boolean)
  const reads: Record<string, (key: string) => string[]> = {
    string: (key) => ['GET', key],
    hash: (key) => ['HGETALL', key],
    set: (key) => ['SMEMBERS', key],
    zset: (key) => ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
    list: (key) => ['LRANGE', key, '0', '-1'],
    stream: (key) => ['XRANGE', key, '-', '+'],
  }
  const values = keys.map(async (key) => {
    const type = await command('TYPE', key)
    const read = reads[type]
    if (!read) throw new Error(`a key of an unknown type: ${type}`)
    return `${key}\n${await command(...read(key))}`
  })
  return (await Promise.all(values)).join('\n')
}
