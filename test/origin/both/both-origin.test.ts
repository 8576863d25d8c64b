import t, { type Test } from 'tap'
import { BothOrigin, type BothOriginOptions } from '../../../src/origin/both/both-origin.js'
import { ServiceDisabled, RepositoryNotFound } from '../../../src/origin/errors.js'
import type { Origin } from '../../../src/origin/origin.js'
import type { PackClient } from '../../../src/origin/pack-answer.js'
import type { OriginResponse } from '../../../src/origin/pass-through.js'
import { UpstreamUnavailable } from '../../../src/origin/upstream-errors.js'
import { eventually } from '../../support/eventually.js'
import { originResponse } from '../../support/fake-origin-server.js'
import { parsed, v2 } from '../../support/fetch-requests.js'
import { passThroughRequestOf } from '../../support/pass-through-request.js'
import { capabilities, isAdvertisement, listing, openBody } from '../../support/upstream-answers.js'
import { openUpstreamRig, type Answerer } from '../../support/upstream-rig.js'

const id = '1'.repeat(40)
const target = { path: 'Group/R', credentials: { authorization: 'mine' } }
const { signal } = new AbortController()
const admission = { admitted: true, queueing: signal, signal }
const client: PackClient = { admitted: true, attached: () => {}, throwIfAborted: () => {} }
const asked = parsed(v2(['object-format=sha1'], [`want ${id}`, 'done']))

const serving: Answerer = (request) =>
  isAdvertisement(request) ? capabilities() : listing(`${id} refs/heads/main\n`)

/** Opens the two together; the disk answers with nothing, and records what it is asked. */
async function open(t: Test, answer: Answerer = serving, changes: Partial<BothOriginOptions> = {}) {
  const rig = await openUpstreamRig(t, { answer })
  /** Method and path of what the disk was asked; what it throws. */
  const onDisk = { asked: [] as string[], error: undefined as Error | undefined }
  const asks =
    (method: string, answer?: unknown) =>
    async ({ path }: { path: string }): Promise<never> => {
      onDisk.asked.push(`${method} ${path}`)
      if (onDisk.error) throw onDisk.error
      return answer as never
    }
  const disk: Origin = {
    advertise: asks('advertise'),
    advertiseUncached: asks('advertiseUncached', []),
    listRefs: asks('listRefs'),
    fetch: asks('fetch'),
    passThrough: asks('passThrough', originResponse()),
    mutate: asks('mutate', originResponse()),
    passed: (reason) => onDisk.asked.push(`passed ${reason}`),
  }
  /** The leases on repositories of the disk: `+` when one is opened, `-` at its end. */
  const leases: string[] = []
  const origin = new BothOrigin({
    ...{ disk, upstream: rig.origin, upstreamDecides: true },
    diskPathOf: (path) => `${path.toLowerCase()}.git`,
    holdLease: async (path) => {
      leases.push(`+${path}`)
      return () => leases.push(`-${path}`)
    },
    ...changes,
  })
  const questions: Record<string, (of?: typeof target) => Promise<unknown>> = {
    advertise: (of = target) => origin.advertise(of, 2),
    advertiseUncached: (of = target) => origin.advertiseUncached(of, 2, {}, signal),
    listRefs: (of = target) => origin.listRefs(of, { objectFormat: 'sha1' }),
    fetch: (of = target) => origin.fetch(of, asked, client),
  }
  return { ...rig, origin, onDisk, leases, questions }
}

t.test('the disk answers under its own name once the upstream has let the client read', async (t) => {
  const { questions, onDisk, sent } = await open(t)
  for (const [name, ask] of Object.entries(questions)) {
    await ask()
    t.same(onDisk.asked.splice(0), [`${name} group/r.git`])
  }
  t.equal(sent.length, 1, 'one verdict, which is remembered')
  t.equal(sent[0]!.headers['Authorization'], 'mine')
})

t.test('the disk answers nobody whom the upstream refuses, and nobody while it is away', async (t) => {
  const { questions, onDisk, answering } = await open(t, () => ({ status: 403 }))
  for (const [name, ask] of Object.entries(questions))
    await t.rejects(ask(), { name: 'UpstreamRefusal', status: 403 }, name)
  answering.answer = () => new UpstreamUnavailable('away')
  for (const [name, ask] of Object.entries(questions))
    await t.rejects(ask(), { name: 'UpstreamUnavailable' }, name)
  t.same(onDisk.asked, [])
})

t.test('where refstream itself decides, the upstream is not asked', async (t) => {
  const { questions, onDisk, sent } = await open(t, serving, { upstreamDecides: false })
  for (const ask of Object.values(questions)) await ask()
  t.equal(onDisk.asked.length, 4)
  t.equal(sent.length, 0)
})

t.test('what the disk does not have, the upstream answers; any other failure is one', async (t) => {
  const { questions, onDisk, sent } = await open(t)
  onDisk.error = new RepositoryNotFound('r')
  for (const [name, ask] of Object.entries(questions)) {
    if (name === 'fetch') continue
    sent.splice(0)
    t.ok(await ask(), name)
  }
  onDisk.error = new ServiceDisabled('off')
  for (const [name, ask] of Object.entries(questions)) await t.rejects(ask(), onDisk.error, name)
})

t.test('a repository that has moved is not looked for under its old name', async (t) => {
  const redirectedTo = 'http://h/new.git/info/refs?service=git-upload-pack'
  const moved: Answerer = (request) =>
    isAdvertisement(request) ? { ...capabilities(), redirectedTo } : listing(`${id} refs/heads/main\n`)
  const { questions, onDisk, sent } = await open(t, moved)
  await questions['listRefs']!()
  t.same(onDisk.asked, [])
  t.equal(sent.at(-1)!.path, 'http://h/new.git/git-upload-pack')
})

t.test('what belongs to no upstream is the disk’s alone', async (t) => {
  const { origin, questions, onDisk, sent, leases } = await open(t)
  const elsewhere = { ...target, path: 'elsewhere/r' }
  for (const ask of Object.values(questions)) await ask(elsewhere)
  await origin.passThrough(elsewhere, passThroughRequestOf(), admission)
  await origin.mutate(elsewhere, passThroughRequestOf(), admission)
  const methods = [...Object.keys(questions), 'passThrough', 'mutate']
  t.same(
    onDisk.asked,
    methods.map((method) => `${method} elsewhere/r`),
  )
  t.equal(sent.length, 0)
  t.same(leases, [], 'the disk holds its own')
})

t.test('a push goes to the upstream under a lease on the disk’s repository', async (t) => {
  const body = openBody('ok')
  const { origin, onDisk, sent, leases, answering } = await open(t, () => ({ body }))
  const request = passThroughRequestOf({ method: 'POST', resource: '/git-receive-pack' })
  const answer: OriginResponse = await origin.mutate(target, request, admission)
  t.same(leases, ['+group/r.git'])
  answer.end()
  await eventually('it has ended', () => leases.length === 2)
  answering.answer = () => new UpstreamUnavailable('away')
  await t.rejects(origin.mutate(target, request, admission), { message: 'away' })
  t.same(leases, ['+group/r.git', '-group/r.git', '+group/r.git', '-group/r.git'])
  t.equal(sent.length, 2)
  t.same(onDisk.asked, [])
})

t.test('what passes through goes to the upstream', async (t) => {
  const { origin, onDisk, sent } = await open(t, () => ({ status: 401 }))
  const answer = await origin.passThrough(target, passThroughRequestOf(), admission)
  t.equal(answer.status, 401)
  t.equal(sent.length, 1)
  origin.passed('size')
  t.same(onDisk.asked, ['passed size'], 'and is counted once')
})
