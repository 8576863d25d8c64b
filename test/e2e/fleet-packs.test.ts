import t, { type Test } from 'tap'
import { execFile } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from '../support/eventually.js'
import { startFleet, type FleetOptions, type SpawnedFleet } from '../support/fleet/nodes.js'
import { skipRedis, startRedis } from '../support/fleet/redis.js'
import { gitClient } from '../support/git-client.js'
import { makePackRepository } from '../support/pack-repository.js'
import { makePackWrapper, packPlans } from '../support/pack-wrapper.js'
import { git, gitEnvironment } from '../support/repositories.js'
import type { SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

if (skipRedis) {
  t.plan(0, skipRedis)
  process.exit()
}
t.setTimeout(120_000)

const client = gitClient(2)

interface SetUpOptions extends Partial<FleetOptions> {
  /** Bytes that cannot be compressed. */
  readonly bulk?: number
}

async function setUp(t: Test, { bulk, ...options }: SetUpOptions = {}) {
  const root = tempDir(t)
  const repository = makePackRepository(root, 'r.git', bulk === undefined ? {} : { bulk })
  const wrapper = makePackWrapper(t)
  const { port } = await startRedis(t)
  const engine = `redis://127.0.0.1:${port}`
  const fleet = await startFleet(t, { root, engine, args: ['--git', wrapper.path], ...options })
  return { repository, wrapper, fleet }
}

const execute = promisify(execFile)

/** Clones from a node. @returns the refs and what they point to; `failed` if Git says that it has failed */
async function clone(t: Test, { url }: SpawnedSidecar, args: readonly string[] = []): Promise<string> {
  const work = tempDir(t)
  try {
    await client(work, 'clone', '--quiet', '--bare', ...args, `${url}/r.git`, 'clone')
  } catch {
    return 'failed'
  }
  // What Git takes for a whole clone must be one.
  await execute('git', ['fsck', '--strict'], { cwd: join(work, 'clone'), env: gitEnvironment })
  return client(join(work, 'clone'), 'for-each-ref')
}

/** Clones so many times, from the nodes in turn. */
const clones = (
  t: Test,
  { nodes }: Pick<SpawnedFleet, 'nodes'>,
  count: number,
  args?: readonly string[],
): Promise<string>[] =>
  Array.from({ length: count }, (_, index) => clone(t, nodes[index % nodes.length]!, args))

const distinct = async (all: readonly Promise<string>[]): Promise<string[]> => [
  ...new Set(await Promise.all(all)),
]

const followed = (fleet: SpawnedFleet, count: number): Promise<void> =>
  eventually(`${count} follow`, async () => (await fleet.metric('refstream_followers')) >= count)

t.test('20 equal clones or checkouts over three nodes: one pack is made', async (t) => {
  const { repository, wrapper, fleet } = await setUp(t)
  for (const [what, args] of [
    ['clones', []],
    ['checkouts', ['--depth=1', '--single-branch']],
  ] as const) {
    const before = wrapper.packs()
    wrapper.planPacks(packPlans.waitFor(what))
    const all = clones(t, fleet, 20, args)
    // The two nodes that follow another one are followers too.
    await followed(fleet, 22)
    wrapper.signal(what)
    const found = await distinct(all)
    t.equal(found.length, 1, what)
    t.match(found[0], git(repository, 'rev-parse', 'main'))
    t.equal(wrapper.packs(), before + 1, `${what}: one pack`)
  }
})

t.test('kill -9 in the middle of a pack: clones of other nodes fail or are whole', async (t) => {
  const { repository, wrapper, fleet } = await setUp(t, { bulk: 3_000_000 })
  wrapper.planPacks(`echo "$PPID" > "$dir/holder"\n${packPlans.pauseAfter(1_000_000, 'go')}`)
  const all = clones(t, fleet, 9)
  await followed(fleet, 11)
  await eventually('all nodes have bytes', async () => {
    const received = await fleet.metric('refstream_fleet_peer_bytes_total', { direction: 'received' })
    return received >= 2_000_000
  })
  const holder = Number(wrapper.read('holder'))
  const others = fleet.nodes.filter(({ pid }) => pid !== holder)
  t.equal(others.length, 2)
  wrapper.planPacks(undefined)
  process.kill(holder, 'SIGKILL')
  const results = await Promise.all(all)
  wrapper.signal('go')
  const next = await clone(t, others[0]!)
  t.match(next, git(repository, 'rev-parse', 'main'), 'the next clone works')
  t.same(
    results.filter((result) => result !== 'failed' && result !== next),
    [],
  )
  for (const [index, { pid }] of fleet.nodes.entries())
    if (pid === holder) t.equal(results[index], 'failed', 'what the dead node was sending is an error')
})

t.test('a repository that is another one on another node: each makes its own pack', async (t) => {
  const roots = [tempDir(t), tempDir(t)]
  const repository = makePackRepository(roots[0]!, 'r.git')
  cpSync(repository, join(roots[1]!, 'r.git'), { recursive: true })
  const { wrapper, fleet } = await setUp(t, { count: 2, rootOf: (index) => roots[index]! })
  const found = await distinct(clones(t, fleet, 4))
  t.equal(found.length, 1)
  t.match(found[0], git(repository, 'rev-parse', 'main'))
  t.equal(wrapper.packs(), 2)
  t.equal(await fleet.metric('refstream_fleet_borrowed_fills_total'), 0)
  const refused = { direction: 'asked', result: 'refused' }
  t.ok((await fleet.metric('refstream_fleet_peer_requests_total', refused)) > 0)
})

t.test('a repository that another node exports no more: the asking node makes its own pack', async (t) => {
  let exportsAll = true
  const { repository, wrapper, fleet } = await setUp(t, {
    count: 2,
    argsOf: (index) => (index === 0 || exportsAll ? ['--export-all'] : []),
  })
  rmSync(join(repository, 'git-daemon-export-ok'))
  const made = await clone(t, fleet.nodes[1]!)
  t.equal(wrapper.packs(), 1)
  exportsAll = false
  await fleet.nodes[1]!.stop('SIGKILL')
  await fleet.restart(1)
  t.equal(await clone(t, fleet.nodes[1]!), 'failed', 'it does not serve it')
  t.equal(await clone(t, fleet.nodes[0]!), made)
  t.equal(wrapper.packs(), 2)
  t.ok((await fleet.metric('refstream_fleet_takeovers_total', { reason: 'refused' })) > 0)
})
