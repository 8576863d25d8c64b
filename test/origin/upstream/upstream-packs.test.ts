import t from 'tap'
import type { Readable } from 'node:stream'
import type { UpstreamRequest } from '../../../src/origin/upstream/client/upstream-client.js'
import { refusalOf } from '../../../src/origin/faults.js'
import type { PackAnswer, PackClient } from '../../../src/origin/pack-answer.js'
import type { PackState } from '../../../src/origin/packs/pack-source.js'
import { pktLine } from '../../../src/git/protocol/pkt-line.js'
import { eventually } from '../../support/eventually.js'
import { parsed, sideBand, v0, v2 } from '../../support/fetch-requests.js'
import {
  advertisementType,
  capabilities,
  isAdvertisement,
  listing,
  openBody,
  packets,
  resultType,
  type UpstreamAnswer,
} from '../../support/upstream-answers.js'
import { openUpstreamRig } from '../../support/upstream-rig.js'

const id = '1'.repeat(40)
const target = { path: 'r.git' }
const ofObjects = parsed(v2(['object-format=sha1'], [`want ${id}`, 'done']))
const ofTags = parsed(v2(['object-format=sha1'], [`want ${id}`, 'include-tag', 'done']))
const ofRefs = parsed(v2(['object-format=sha1'], ['want-ref refs/heads/main', 'done']))
const ofV0 = parsed(v0(sideBand, '', 'done'), 0)
const pack = packets('packfile\n', '\x01PACK')
const client: PackClient = { admitted: true, attached: () => {}, throwIfAborted: () => {} }

/** What the test's upstream has. */
interface Upstream {
  tags: readonly string[]
  advertised: UpstreamAnswer
  pack: UpstreamAnswer
}

const isListing = ({ body }: UpstreamRequest): boolean =>
  Buffer.isBuffer(body) && body.includes('command=ls-refs')

const packAnswer = (body: Buffer | string | Readable = pack): UpstreamAnswer => ({
  headers: { 'Content-Type': resultType },
  body,
})
const advertised = (...lines: readonly string[]): UpstreamAnswer => ({
  headers: { 'Content-Type': advertisementType },
  body: packets(...lines),
})

async function open(
  t: Parameters<typeof openUpstreamRig>[0],
  changes: { maxAgeMs?: number; isShared?: boolean } = {},
) {
  const upstream: Upstream = {
    tags: [],
    advertised: advertised(`${id} refs/heads/main\n`),
    pack: packAnswer(),
  }
  const { maxAgeMs = 0, isShared = false } = changes
  const rig = await openUpstreamRig(t, {
    ...{ maxAgeMs, upstream: { isShared } },
    answer: (request) => {
      const isOfV2 = request.headers['Git-Protocol'] === 'version=2'
      if (isAdvertisement(request)) return isOfV2 ? capabilities() : upstream.advertised
      return isListing(request) ? listing(...upstream.tags) : upstream.pack
    },
  })
  const stateOf = async (asked = ofObjects, of: object = target): Promise<PackState> => {
    const state = await rig.source.stateOf({ ...target, ...of }, asked)
    if (typeof state === 'string') throw new Error(`it passes through: ${state}`)
    return state
  }
  return { ...rig, upstream, stateOf }
}

async function read({ first, follower }: PackAnswer): Promise<string> {
  const chunks = first ? [first] : []
  for (let chunk = first && (await follower.read()); chunk; chunk = await follower.read()) chunks.push(chunk)
  follower.close()
  return Buffer.concat(chunks).toString('latin1')
}

t.test('a pack of objects is named by the request, the view and what changed, and not by refs', async (t) => {
  const { stateOf, taken, leases, upstream } = await open(t)
  const state = await stateOf()
  t.same(taken(), ['GET /info/refs'], 'the verdict')
  upstream.tags = [`${id} refs/tags/v1\n`]
  t.equal((await stateOf()).name, state.name)
  t.same(taken(), [], 'which is remembered')
  t.not((await stateOf(ofObjects, { credentials: { authorization: 'x' } })).name, state.name)
  t.not((await stateOf(ofObjects, { path: 'other.git' })).name, state.name)
  t.not((await stateOf(ofTags)).name, state.name)
  t.notOk(state.name.includes(' '))
  t.same([state.unsettledMs, state.maxAgeMs, state.repository], [0, Infinity, 'http://h/r'])
  t.equal(await state.holds(), true)
  leases.invalidate('http://h/r')
  t.equal(await state.holds(), false, 'what was made meanwhile is not kept')
  t.not((await stateOf()).name, state.name)
})

t.test('in a shared view, clients share packs', async (t) => {
  const { stateOf, taken } = await open(t, { isShared: true, maxAgeMs: 3_600_000 })
  const states = await Promise.all(
    ['a', 'b'].map((authorization) => stateOf(ofObjects, { credentials: { authorization } })),
  )
  t.equal(states[0]!.name, states[1]!.name)
  t.equal(taken().length, 2, 'each has its verdict')
})

t.test('a pack with tags is named by them, and one before v2 by all that is advertised', async (t) => {
  const { stateOf, upstream } = await open(t)
  const [tags, refs] = [await stateOf(ofTags), await stateOf(ofV0)]
  t.equal((await stateOf(ofTags)).name, tags.name)
  t.equal((await stateOf(ofV0)).name, refs.name)
  upstream.tags = [`${id} refs/tags/v1\n`]
  upstream.advertised = advertised(`${id} refs/heads/other\n`)
  t.not((await stateOf(ofTags)).name, tags.name)
  t.not((await stateOf(ofV0)).name, refs.name)
})

t.test('what nothing names is not shared', async (t) => {
  const { source, upstream } = await open(t)
  t.equal(await source.stateOf(target, ofRefs), 'unsettled', 'a ref is read when the pack is made')
  upstream.tags = [`${id} refs/tags/b\n`, `${id} refs/tags/a\n`]
  t.equal(await source.stateOf(target, ofTags), 'unsettled', 'the listing is not in Git’s order')
  const { body } = upstream.advertised
  upstream.advertised = { ...upstream.advertised, body: (body as Buffer).subarray(0, -4) }
  await t.rejects(source.stateOf(target, ofV0), 'an advertisement that is cut off names nothing')
})

t.test('a client that may not read gets no pack, and its refusal is the upstream’s', async (t) => {
  const { packs, answering, taken } = await open(t)
  answering.answer = () => ({ status: 401, headers: { 'WWW-Authenticate': 'Basic' } })
  await t.rejects(packs.fetch(target, ofObjects, client), { name: 'UpstreamRefusal', status: 401 })
  t.same(taken(), ['GET /info/refs'])
})

t.test('identical fetches share one request; what is kept answers later ones', async (t) => {
  const { packs, taken } = await open(t)
  const answers = await Promise.all(Array.from({ length: 20 }, () => packs.fetch(target, ofObjects, client)))
  for (const answer of answers) t.equal(await read(answer!), pack.toString('latin1'))
  t.same(taken(), ['GET /info/refs', 'POST /git-upload-pack'])
  t.equal(await read((await packs.fetch(target, ofObjects, client))!), pack.toString('latin1'))
  t.same(taken(), [])
})

t.test('a pack that is not whole is an error, and not kept', async (t) => {
  for (const body of [pack.subarray(0, -4), pack.subarray(0, -6), '', '<html>']) {
    const { packs, upstream } = await open(t)
    upstream.pack = packAnswer(body)
    await t.rejects(async () => {
      const answer = await packs.fetch(target, ofObjects, client)
      return read(answer!)
    })
    upstream.pack = packAnswer()
    const again = await packs.fetch(target, ofObjects, client)
    t.equal(await read(again!), pack.toString('latin1'))
  }
})

t.test('a fetch that is given up frees its connection', async (t) => {
  const { stateOf, upstream } = await open(t)
  const body = openBody(pack)
  upstream.pack = packAnswer(body)
  const state = await stateOf()
  const controller = new AbortController()
  const finished: unknown[] = []
  const run = { signal: controller.signal, admitted: true, ended: () => {}, finished: () => finished.push(1) }
  for await (const chunk of state.make(run)) if (chunk.length > 0) break
  await eventually('it is closed', () => body.destroyed)
  t.same(finished, [1])
  const untouched = openBody(pack)
  upstream.pack = packAnswer(untouched)
  for await (const chunk of state.make(run)) {
    t.equal(chunk.length, 0, 'the head has come')
    break
  }
  await eventually('it is closed', () => untouched.destroyed)
})

const notOurRef = packAnswer(pktLine(`ERR upload-pack: not our ref ${id}`))

t.test(
  'if the upstream does not have what was advertised from an entry, what is kept is dropped',
  async (t) => {
    const { packs, upstream, outdated, refs, repositoryFor, taken } = await open(t, { maxAgeMs: 3_600_000 })
    await refs.list(repositoryFor(), { objectFormat: 'sha1' })
    upstream.pack = notOurRef
    const error: unknown = await packs.fetch(target, ofObjects, client).catch((reason: unknown) => reason)
    t.match(refusalOf(error)?.answer.toString(), /not our ref/)
    t.same(outdated, ['http://h/r'])
    taken()
    await refs.list(repositoryFor(), { objectFormat: 'sha1' })
    t.ok(taken().includes('POST /git-upload-pack'), 'the client’s retry gets a new listing')
  },
)

t.test('another refusal drops nothing, and neither does any in exact mode', async (t) => {
  const bounded = await open(t, { maxAgeMs: 3_600_000 })
  bounded.upstream.pack = packAnswer(pktLine('ERR upload-pack: filtering not recognized'))
  const exact = await open(t)
  exact.upstream.pack = notOurRef
  for (const { packs, outdated } of [bounded, exact]) {
    const error: unknown = await packs.fetch(target, ofObjects, client).catch((reason: unknown) => reason)
    t.ok(refusalOf(error))
    t.same(outdated, [])
  }
})

t.test('a client that leaves while its verdict is asked for ends the question', async (t) => {
  const { source, sent, answering } = await open(t)
  answering.answer = () => new Promise(() => {})
  const leaving = new AbortController()
  const state = source.stateOf({ ...target, client: leaving }, ofObjects)
  await eventually('it is asked', () => sent.length === 1)
  leaving.abort(new Error('the client has left'))
  await t.rejects(state, { message: 'the client has left' })
  t.ok(sent[0]!.signal.aborted)
})
