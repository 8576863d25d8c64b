// Nodes of one fleet in this process: real origins, caches and claims; only the network between them is left out.
import t, { type Test } from 'tap'
import { cpSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PackAnswer, PackClient } from '../../../src/origin/pack-answer.js'
import { eventually } from '../../support/eventually.js'
import { parsed, v2 } from '../../support/fetch-requests.js'
import {
  openOriginNodes,
  type OriginNode,
  type OriginNodesOptions,
} from '../../support/fleet/origin-nodes.js'
import { makeGitWrapper, type GitWrapper } from '../../support/git-wrapper.js'
import { makePackRepository } from '../../support/pack-repository.js'
import { collect } from '../../support/producers.js'
import { queryOf } from '../../support/ref-answers.js'
import { git, makeCommit } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const target = { path: 'r.git' }

/** Nodes over one repository, whose Git is counted and can be held up. */
async function open(
  t: Test,
  names: readonly string[],
  { rootOf, ...options }: OriginNodesOptions & { rootOf?: (node: string, root: string) => string } = {},
) {
  const root = realpathSync(tempDir(t))
  const repository = makePackRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  const { fleet, nodes } = await openOriginNodes(
    t,
    names,
    { root, git: wrapper.path, exportAll: true },
    {
      ...options,
      flagsOf: (node) => ({ ...options.flagsOf?.(node), ...(rootOf && { root: rootOf(node, root) }) }),
    },
  )
  let pushes = 0
  const push = (): string => {
    const commit = makeCommit(repository, `push ${++pushes}`)
    git(repository, 'update-ref', 'refs/heads/main', commit)
    return commit
  }
  return { root, repository, wrapper, fleet, nodes, push }
}

const advertised = async (node: OriginNode, version: 0 | 1 | 2): Promise<string> =>
  String(await collect((await node.origin.advertise(target, version))!.follower))

async function listed(node: OriginNode): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of (await node.origin.listRefs(target))!.listing.cut(queryOf({}))) parts.push(part)
  return String(Buffer.concat(parts))
}

class Client implements PackClient {
  readonly admitted = true
  attached(): void {}
  throwIfAborted(): void {}
}

const fetchOf = (want: string, ...lines: readonly string[]) =>
  parsed(v2(['object-format=sha1'], [`want ${want}`, 'ofs-delta', 'no-progress', ...lines, 'done']))

async function packed(node: OriginNode, want: string): Promise<Buffer> {
  const answer = await node.origin.fetch(target, fetchOf(want), new Client())
  if (!answer) throw new Error('it is not shared')
  return packOf(answer)
}

async function packOf({ first, follower }: PackAnswer): Promise<Buffer> {
  const rest: Buffer[] = first ? [first] : []
  for (let chunk = first && (await follower.read()); chunk; chunk = await follower.read()) rest.push(chunk)
  follower.close()
  return Buffer.concat(rest)
}

/** Returns how a listing is answered once no fill of it runs any more. */
async function reuseOf(node: OriginNode): Promise<string> {
  for (;;) {
    const { reuse } = (await node.origin.listRefs(target))!
    if (reuse !== 'joined') return reuse
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Git processes for requests so far, by their kind. */
const runsOf = (wrapper: GitWrapper): number => wrapper.runs().length

const hold = (wrapper: GitWrapper, name: string): void =>
  wrapper.plan(`touch $dir/${name}-began\nwhile [ ! -f $dir/${name} ]; do sleep 0.01; done`)

for (const isOneHost of [true, false]) {
  void t.test(`one Git process for three nodes (${isOneHost ? 'one host' : 'several hosts'})`, async (t) => {
    const { repository, wrapper, nodes } = await open(t, ['a', 'b', 'c'], { isOneHost })
    for (const version of [0, 1, 2] as const) {
      const before = runsOf(wrapper)
      const texts = await Promise.all(nodes.map((node) => advertised(node, version)))
      t.equal(new Set(texts).size, 1)
      t.equal(runsOf(wrapper) - before, 1, `advertisement v${version}`)
      t.match(texts[0], version === 2 ? /ls-refs/ : /refs\/heads\/topic/)
      t.match(texts[0], /0000$/)
    }
    let before = runsOf(wrapper)
    const listings = await Promise.all(nodes.map(listed))
    t.equal(new Set(listings).size, 1)
    t.match(listings[0], /refs\/heads\/topic/)
    t.equal(runsOf(wrapper) - before, 1, 'listing')
    const want = git(repository, 'rev-parse', 'main')
    before = runsOf(wrapper)
    const packs = await Promise.all(nodes.map((node) => packed(node, want)))
    t.ok(packs.every((pack) => pack.equals(packs[0]!)))
    t.equal(runsOf(wrapper) - before, 1, 'pack')
    // What has come from another node is kept as what was made here.
    before = runsOf(wrapper)
    for (const node of nodes) {
      await advertised(node, 2)
      t.equal(await reuseOf(node), 'hit')
      t.ok((await packed(node, want)).equals(packs[0]!))
    }
    t.equal(runsOf(wrapper), before)
  })
}

void t.test('a change is in the next answer of every node, however the nodes share', async (t) => {
  const { nodes, push } = await open(t, ['a', 'b', 'c'])
  await Promise.all(nodes.map(listed))
  for (let round = 0; round < 3; round++) {
    const commit = push()
    for (const listing of await Promise.all(nodes.map(listed))) t.match(listing, commit)
  }
})

void t.test('a change while another node makes the bytes: they are not kept here either', async (t) => {
  const { wrapper, fleet, nodes, push } = await open(t, ['a', 'b'])
  const [a, b] = nodes as [OriginNode, OriginNode]
  hold(wrapper, 'go')
  const first = listed(a)
  await eventually('a runs Git', () => wrapper.hasFile('go-began'))
  const second = listed(b)
  await eventually('b follows a', () => fleet.asked[0]?.isAnswered === true)
  const commit = push()
  wrapper.signal('go')
  await Promise.all([first, second])
  t.not(await reuseOf(a), 'hit', 'a has not kept it')
  t.not(await reuseOf(b), 'hit', 'b has not kept it')
  for (const node of nodes) t.match(await listed(node), commit)
})

void t.test('a question that comes after a change waits at the holder for its next fill', async (t) => {
  const { wrapper, fleet, nodes, push } = await open(t, ['a', 'b'])
  const [a, b] = nodes as [OriginNode, OriginNode]
  hold(wrapper, 'go')
  const first = listed(a)
  await eventually('a runs Git', () => wrapper.hasFile('go-began'))
  const commit = push()
  const second = listed(b)
  await eventually('b asks a', () => fleet.asked.length === 1)
  wrapper.signal('go')
  await first
  t.match(await second, commit)
  t.equal(runsOf(wrapper), 2)
  t.equal(await reuseOf(b), 'hit', 'and is kept here')
})

void t.test('nodes with directories of their own refuse each other, and answer by themselves', async (t) => {
  const other = realpathSync(tempDir(t))
  const { root, wrapper, fleet, nodes } = await open(t, ['a', 'b'], {
    rootOf: (node, root) => {
      if (node === 'a') return root
      cpSync(root, other, { recursive: true })
      return other
    },
  })
  t.not(root, other)
  const [one, two] = await Promise.all(nodes.map(listed))
  t.equal(one, two)
  t.match(fleet.asked, [{ error: { name: 'PeerRefused', why: 'different' } }])
  t.equal(runsOf(wrapper), 2)
})

void t.test('nodes whose Git is configured in another way refuse each other', async (t) => {
  const home = tempDir(t)
  writeFileSync(join(home, 'hiding'), '[transfer]\nhideRefs = refs/heads/topic\n')
  const environmentOf = (node: string) =>
    node === 'a' ? {} : { GIT_CONFIG_SYSTEM: join(home, 'hiding'), GIT_CONFIG_NOSYSTEM: '0' }
  const { fleet, nodes, wrapper } = await open(t, ['a', 'b'], { environmentOf })
  const [a, b] = nodes as [OriginNode, OriginNode]
  t.match(await listed(a), /refs\/heads\/topic/)
  t.notMatch(await listed(b), /refs\/heads\/topic/, 'b hides a ref')
  t.match(fleet.asked, [{ error: { name: 'PeerRefused', why: 'different' } }])
  t.equal(runsOf(wrapper), 2)
})

void t.test('a node that does not see changes on its disk answers none that does', async (t) => {
  const flagsOf = (node: string) => ({ freshness: node === 'a' ? '**=observe' : '**=lease' })
  const { fleet, nodes, push } = await open(t, ['a', 'b'], { flagsOf })
  const [a, b] = nodes as [OriginNode, OriginNode]
  const before = await listed(b)
  // No lease tells b of it.
  const commit = push()
  t.notMatch(before, commit)
  t.match(await listed(a), commit)
  t.match(fleet.asked, [{ to: 'b', error: { name: 'PeerRefused', why: 'different' } }])
  t.match(await listed(a), commit)
})

void t.test('an answer may be half as old as the asking node allows', async (t) => {
  const flagsOf = (node: string) => ({
    freshness: '**=lease',
    unleasedMaxAgeSeconds: node === 'a' ? '3600' : '60',
  })
  const { fleet, nodes } = await open(t, ['a', 'b'], { flagsOf })
  const [a, b] = nodes as [OriginNode, OriginNode]
  await listed(a)
  await listed(b)
  t.match(fleet.asked, [{ to: 'a', question: { maxAgeMs: 60_000 } }])
  t.equal(await reuseOf(b), 'hit')
})
