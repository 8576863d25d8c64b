import t from 'tap'
import type { Test } from 'tap'
import { realpathSync } from 'node:fs'
import type { Reading } from '../../../src/freshness/fresh-cache.js'
import type { ObjectsObservation } from '../../../src/origin/disk/observation/observer.js'
import { PackCache } from '../../../src/freshness/pack-cache.js'
import { Git } from '../../../src/git/process/git.js'
import { BackOff } from '../../../src/limits/back-off.js'
import { DiskPacks } from '../../../src/origin/disk/disk-packs.js'
import { FillReports } from '../../../src/origin/faults/fill-reports.js'
import type { PackNames, PackState } from '../../../src/origin/disk/pack-names.js'
import { PackReports } from '../../../src/origin/packs/pack-reports.js'
import { type PackAnswer, type PackClient } from '../../../src/origin/pack-answer.js'
import { PackService, type PackServiceOptions } from '../../../src/origin/packs/pack-service.js'
import type { ServedRepositories } from '../../../src/origin/disk/served-repositories.js'
import type { Log } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import type { Follower } from '../../../src/streamcache/index.js'
import { counted as seriesOf } from '../../support/counted.js'
import { eventually } from '../../support/eventually.js'
import { FakeClock } from '../../support/fake-clock.js'
import { parsed, v2 } from '../../support/fetch-requests.js'
import { repositoryAt } from '../../support/found-repository.js'
import { objectsOf } from '../../support/pack-observations.js'
import { makePackWrapper, packPlans } from '../../support/pack-wrapper.js'
import { pending } from '../../support/producers.js'
import { git, gitEnvironment, gitWith, makeRepository } from '../../support/repositories.js'
import { openCache } from '../../support/stream-cache.js'
import { tempDir } from '../../support/temp-dir.js'

const settled: PackState = { name: 'name', tags: undefined, unsettledMs: 0, maxAgeMs: Infinity }
const target = { path: 'r.git' }

/** Which client: it may leave, and remembers what reads for it. */
class Client implements PackClient {
  readonly followers: Follower[] = []
  hasLeft = false
  readonly admitted = true

  attached(follower: Follower): void {
    this.followers.push(follower)
  }

  throwIfAborted(): void {
    if (this.hasLeft) throw new Error('the client has left')
  }

  leave(): void {
    this.hasLeft = true
    for (const follower of this.followers) follower.close()
  }
}

/** A service over a real cache and a real Git, for what the test says is observed. */
async function open(t: Test, changes: Partial<PackServiceOptions> = {}) {
  const path = makeRepository(realpathSync(tempDir(t)), 'r.git')
  const repository = repositoryAt(path)
  const wrapper = makePackWrapper(t)
  const { cache } = await openCache(t, { memoryFirst: true, repeatable: false })
  const metrics = new Metrics()
  const warnings: unknown[] = []
  const log = { warn: (fields: unknown) => void warnings.push(fields) } as unknown as Log
  const clock = new FakeClock()
  const backOff = new BackOff({ baseMs: 100, capMs: 1000, max: 10, clock, random: () => 0.5 })
  /** What is observed from now on: `states` one after another, the last one from then on. */
  const seen = { objects: objectsOf(repository), objectFormat: 'sha1', states: [settled] }
  /** The calls of `stateOf`: the tags that they were given. */
  const knownTags: (string | undefined)[] = []
  let observations = 0
  const observe = async (): Promise<ObjectsObservation> => {
    observations++
    return seen.objects
  }
  const names: Pick<PackNames, 'stateOf'> = {
    stateOf: async (_target, _asked, _observed, tags) => {
      knownTags.push(tags)
      return seen.states.length > 1 ? seen.states.shift()! : seen.states[0]!
    },
  }
  const service = new PackService({
    enabled: true,
    source: new DiskPacks({
      git: new Git({ path: wrapper.path, environment: gitEnvironment }),
      served: {
        observeObjects: observe,
        servingConfig: () => ({ uploadPack: true, shared: true, objectFormat: seen.objectFormat }),
      } as unknown as ServedRepositories,
      names: names as unknown as PackNames,
    }),
    cache: new PackCache({ cache, maxAgeMs: 300_000, graceMs: 600_000 }),
    fillReports: new FillReports({ backOff, metrics, log }),
    reports: new PackReports(metrics),
    backOff,
    ...changes,
  })
  const counted = async (): Promise<Record<string, number>> => {
    const values = await seriesOf(metrics.packs)
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels.result), value]))
  }
  const passedFor = async () => (await seriesOf(metrics.packsPassed)).map(({ labels }) => labels.reason)
  const fills = async () => (await seriesOf(metrics.fills)).map(({ labels, value }) => [labels.result, value])
  return {
    ...{ path, wrapper, service, seen, knownTags, warnings, counted, passedFor, fills },
    tip: git(path, 'rev-parse', 'main'),
    observations: () => observations,
  }
}

const fetchOf = (want: string) => parsed(v2(['object-format=sha1'], [`want ${want}`, 'done']))

/** Reads an answer to its end. */
async function bodyOf({ first, follower }: PackAnswer): Promise<string> {
  const chunks: Buffer[] = []
  for (let chunk = first; chunk; chunk = await follower.read()) chunks.push(chunk)
  follower.close()
  return Buffer.concat(chunks).toString('latin1')
}

/** Asks in the name of a new client, and reads the answer to its end. */
async function ask({ service, tip }: { service: PackService; tip: string }, want = tip) {
  const answer = (await service.fetch(target, fetchOf(want), new Client()))!
  return { reuse: answer.reuse, body: await bodyOf(answer) }
}

t.test('a fetch is answered by Git once, and then from what was kept', async (t) => {
  const setup = await open(t)
  const first = await ask(setup)
  t.equal(first.reuse, 'filled')
  t.match(first.body, /^000dpackfile\n.*PACK.*0000$/s)
  await eventually('it is kept', async () => (await setup.fills()).length > 0)
  t.same(await ask(setup), { reuse: 'hit', body: first.body })
  t.equal(setup.wrapper.packs(), 1)
  t.same(await setup.counted(), { filled: 1, hit: 1 })
})

t.test('what cannot be shared passes through, and is counted by why', async (t) => {
  const disabled = await open(t, { enabled: false })
  t.equal(await disabled.service.fetch(target, fetchOf(disabled.tip), new Client()), undefined)
  t.equal(disabled.observations(), 0, 'nothing is looked at')
  t.same(await disabled.passedFor(), ['off'])

  const { service, tip, seen, wrapper, passedFor, counted } = await open(t)
  const passes = async (): Promise<void> => {
    t.equal(await service.fetch(target, fetchOf(tip), new Client()), undefined)
  }
  seen.objectFormat = 'sha256'
  await passes()
  seen.objectFormat = 'sha1'
  const { objects } = seen
  seen.objects = objectsOf(objects.repository, undefined, ['uploadpack.packobjectshook'])
  await passes()
  seen.objects = { ...objects, config: { ...objects.config, mentioned: undefined } }
  await passes()
  seen.objects = objects
  seen.states = [{ ...settled, unsettledMs: Infinity }]
  await passes()
  t.same(await passedFor(), ['hook', 'format', 'unsettled'])
  t.same(await counted(), { passed: 4 })
  t.equal(wrapper.packs(), 0)
})

t.test('a state that will be settled soon is waited for, once', async (t) => {
  const setup = await open(t)
  setup.seen.states = [{ ...settled, unsettledMs: 5 }, settled]
  t.equal((await ask(setup)).reuse, 'filled')
  t.ok(setup.observations() >= 2, 'observed again')

  const { service, tip, seen, passedFor, observations } = await open(t)
  const passes = async (states: PackState[], observed: number): Promise<void> => {
    seen.states = states
    const before = observations()
    t.equal(await service.fetch(target, fetchOf(tip), new Client()), undefined)
    t.equal(observations() - before, observed)
  }
  await passes([{ ...settled, unsettledMs: 5 }], 2)
  await passes([{ ...settled, unsettledMs: 1000 }], 1)
  t.same(await passedFor(), ['unsettled'])
})

t.test('an answer is kept if the name is the same when it ends; tags are not looked at again', async (t) => {
  const setup = await open(t)
  const { seen, knownTags, fills } = setup
  seen.states = [{ ...settled, tags: 'tags' }]
  await ask(setup)
  await eventually('it is kept', async () => (await fills()).length > 0)
  t.same(knownTags, [undefined, 'tags'])
  t.same(await fills(), [['committed', 1]])

  for (const [index, later] of [
    { ...settled, name: 'later' },
    { ...settled, name: 'other-1', unsettledMs: Infinity },
  ].entries()) {
    const name = `other-${index}`
    seen.states = [{ ...settled, name: name }, later]
    await ask(setup)
    await eventually('it has ended', async () =>
      (await fills()).some(([result, count]) => result === 'unshared' && count === index + 1),
    )
  }
})

t.test('an answer with an error message in it is not kept', async (t) => {
  const setup = await open(t)
  const message = '\\003fatal: in the middle'
  setup.wrapper.planPacks(`printf '000dpackfile\\n0019${message}0000'; exit 0`)
  t.match((await ask(setup)).body, /fatal: in the middle0000$/)
  await eventually('it has ended', async () => (await setup.fills()).length > 0)
  t.same(await setup.fills(), [['unshared', 1]])
})

/** Starts a fetch whose Git waits, and others that join it. */
async function joinWaiting(t: Test, others: number, plan: string) {
  const setup = await open(t)
  setup.wrapper.planPacks(plan)
  const starter = ask(setup)
  await eventually('Git runs', () => setup.wrapper.packs() === 1)
  const joined = Array.from({ length: others }, () => ask(setup))
  t.ok(await pending(Promise.race([starter, ...joined])))
  return { ...setup, all: Promise.allSettled([starter, ...joined]) }
}

const outcomesOf = (all: PromiseSettledResult<{ reuse: string }>[]): string[] =>
  all.map((each) => (each.status === 'fulfilled' ? each.value.reuse : (each.reason as Error).name))

t.test(
  'if Git dies before the first byte, those who joined share one new run, and the starter fails',
  async (t) => {
    const { all, wrapper, counted } = await joinWaiting(t, 3, packPlans.dieOnce('go'))
    wrapper.signal('go')
    const outcomes = outcomesOf(await all)
    t.equal(outcomes[0], 'FillError')
    t.same(outcomes.slice(1).sort(), ['filled', 'joined', 'joined'])
    t.equal(wrapper.packs(), 2)
    t.same(await counted(), { filled: 1, coalesced: 2 })
  },
)

t.test('if the new run dies too, there is no other', async (t) => {
  const dies = `${packPlans.waitFor('go')}; echo 'fatal: oops' >&2; exit 128`
  const { all, wrapper, warnings } = await joinWaiting(t, 2, dies)
  wrapper.signal('go')
  t.same(outcomesOf(await all), ['FillError', 'FillError', 'FillError'])
  t.equal(wrapper.packs(), 2)
  await eventually('each failed fill is logged', () => warnings.length === 2)
})

t.test('a refusal that a client gets comes from a Git that started after it had arrived', async (t) => {
  const refuses = `if mkdir "$dir/refused" 2> /dev/null; then
    git "$@" < "$in" > "$dir/out"; : > "$dir/paused"; ${packPlans.waitFor('go')}; cat "$dir/out"; exit 128
  fi`
  const setup = await open(t)
  const { path, wrapper, counted, warnings } = setup
  wrapper.planPacks(refuses)
  const content = 'pushed later\n'
  const want = gitWith({ cwd: path, input: content }, 'hash-object', '--stdin')
  const starter = ask(setup, want)
  await eventually('Git has refused', () => wrapper.hasFile('paused'))
  gitWith({ cwd: path, input: content }, 'hash-object', '-w', '--stdin')
  const joined = ask(setup, want)
  t.ok(await pending(joined))
  wrapper.signal('go')
  await t.rejects(starter, { name: 'FillError', cause: { name: 'PackRefused' } })
  t.match(await joined, { reuse: 'filled', body: /PACK/ })
  t.same(await counted(), { refused: 1, filled: 1 })
  t.same(warnings, [], 'the client is told, not the log')
})

t.test('a refusal is final for the client that started the run, and never kept', async (t) => {
  const setup = await open(t)
  const unknown = '1'.repeat(40)
  for (const count of [1, 2, 3]) {
    await t.rejects(ask(setup, unknown), { cause: { name: 'PackRefused' } })
    t.equal(setup.wrapper.packs(), count, 'and its key does not back off')
    t.same(await setup.counted(), { refused: count })
  }
})

t.test('a client that has left is not tried for again, and its follower is closed', async (t) => {
  const { service, tip, wrapper, counted } = await open(t)
  wrapper.planPacks(packPlans.waitFor('go'))
  const [stays, leaves] = [new Client(), new Client()]
  const starter = service.fetch(target, fetchOf(tip), stays)
  await eventually('Git runs', () => wrapper.packs() === 1)
  const joined = service.fetch(target, fetchOf(tip), leaves)
  await eventually('it has joined', () => leaves.followers.length === 1)
  leaves.leave()
  await t.rejects(joined, { message: 'the client has left' })
  wrapper.signal('go')
  t.match(await bodyOf((await starter)!), /PACK/)
  t.equal(wrapper.packs(), 1)
  t.same(await counted(), { filled: 1 })

  const gone = new Client()
  gone.leave()
  await t.rejects(service.fetch(target, fetchOf(tip), gone), { message: 'the client has left' })
  t.same(gone.followers, [], 'nothing is read for it')
})

/** Answers of a cache whose fills have failed: how each reading came about, and the bytes that its entry had. */
async function triesFor(t: Test, readings: readonly (readonly [reuse: Reading['reuse'], length: number])[]) {
  let tries = 0
  const closed: number[] = []
  const read = async (): Promise<Reading> => {
    const [reuse, length] = readings[tries++]!
    const failed = (): never => {
      throw new Error(`failure ${tries}`)
    }
    const follower = { read: failed, close: () => void closed.push(tries) }
    return { reuse, entry: { length }, follower } as unknown as Reading
  }
  const { service, tip } = await open(t, { cache: { read } as unknown as PackCache })
  const fetched = service.fetch(target, fetchOf(tip), new Client())
  await t.rejects(fetched, { message: `failure ${readings.length}` })
  t.equal(tries, readings.length)
  t.same(
    closed,
    readings.map((_, index) => index + 1),
    'each follower is closed',
  )
}

t.test('which failures without a byte for the client are followed by a second try', async (t) => {
  await triesFor(t, [['filled', 0]])
  await triesFor(t, [
    ['filled', 10],
    ['filled', 10],
  ])
  await triesFor(t, [
    ['joined', 0],
    ['filled', 0],
  ])
  await triesFor(t, [
    ['joined', 0],
    ['joined', 0],
  ])
  await triesFor(t, [
    ['hit', 10],
    ['filled', 0],
  ])
})
