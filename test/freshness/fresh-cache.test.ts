import t from 'tap'
import type { Test } from 'tap'
import { readdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import type { FillRequest } from '../../src/freshness/fill-request.js'
import { FreshCache, type Reading } from '../../src/freshness/fresh-cache.js'
import type { ObservedState } from '../../src/freshness/observed-state.js'
import { StreamCache, type FillResult } from '../../src/streamcache/index.js'
import { breakFs } from '../support/broken-fs.js'
import { eventually } from '../support/eventually.js'
import { collect, ManualProducer, pending, turns } from '../support/producers.js'
import { bodiesIn, cacheOptions, openCache } from '../support/stream-cache.js'
import { layDownEntries } from '../support/stored-entries.js'
import { tempDir } from '../support/temp-dir.js'

const settled = (token: string, changed: Partial<ObservedState> = {}): ObservedState => ({
  ...{ token, unsettledMs: 0, generation: 0, openings: 0, maxAgeMs: Infinity },
  ...changed,
})
const unsettled: ObservedState = settled('unsure', { unsettledMs: 1e9 })

/** A fresh cache over a state that the test sets, with producers that the test controls. */
class World {
  readonly cache: StreamCache
  readonly directory: string
  readonly fresh: FreshCache
  state: ObservedState = settled('one')
  observations = 0
  /** The next observation throws this. */
  observeError: Error | undefined
  /** The producers that were started. */
  readonly producers: ManualProducer[] = []
  /** How their fills ended; undefined: not yet. */
  readonly results: (FillResult | undefined)[] = []
  readonly request: FillRequest = {
    observe: async () => {
      this.observations++
      const error = this.observeError
      this.observeError = undefined
      if (error) throw error
      return this.state
    },
    producer: () => (signal) => {
      const producer = new ManualProducer()
      this.producers.push(producer)
      return producer.run(signal)
    },
    fillStarted: (_entry, _state, ended) => {
      const index = this.results.push(undefined) - 1
      void ended.then((result) => (this.results[index] = result))
    },
  }

  private constructor(cache: StreamCache, directory: string) {
    this.cache = cache
    this.directory = directory
    this.fresh = new FreshCache(cache)
  }

  static async make(t: Test): Promise<World> {
    const { cache, directory } = await openCache(t)
    return new World(cache, directory)
  }

  /** Makes a request: observes, and reads to the end. Resolves with how it was answered, and the text. */
  async ask(key = 'key'): Promise<[reuse: string, text: string]> {
    const { follower, reuse } = await this.read(key)
    return [reuse, (await collect(follower)).toString()]
  }

  async read(key = 'key'): Promise<Reading> {
    return this.fresh.read(key, await this.request.observe(), () => this.request)
  }

  /** Ends a running fill with this text. */
  async finish(index: number, text: string): Promise<void> {
    this.producers[index]!.push(Buffer.from(text)).end()
    await eventually('the fill ends', () => this.results[index] !== undefined)
  }

  async started(count: number): Promise<void> {
    await eventually(`${count} fills have started`, () => this.producers.length === count)
  }
}

t.test('one fill serves all requests in one state, and hits from then on', async (t) => {
  const world = await World.make(t)
  const early = Array.from({ length: 20 }, () => world.ask())
  await turns()
  const joined = Array.from({ length: 20 }, () => world.ask())
  await turns()
  t.equal(world.producers.length, 1)
  await world.finish(0, 'text')
  const answers = await Promise.all([...early, ...joined])
  t.same(answers[0], ['filled', 'text'])
  t.same(new Set(answers.slice(1).map(String)), new Set(['joined,text']))
  t.same(await world.ask(), ['hit', 'text'])
  t.same([world.producers.length, world.results], [1, ['committed']])
})

t.test('keys have rounds of their own', async (t) => {
  const world = await World.make(t)
  const asked = [world.ask('a'), world.ask('b')]
  await world.started(2)
  await world.finish(1, 'b')
  t.same(await asked[1], ['filled', 'b'])
  world.producers[0]!.push(Buffer.from('a')).end()
  t.same(await asked[0], ['filled', 'a'])
})

t.test('a request in another state waits for the running fill, then gets its own', async (t) => {
  const world = await World.make(t)
  const before = world.ask()
  await world.started(1)
  world.state = settled('two')
  const after = [world.ask(), world.ask()]
  await turns()
  t.equal(world.producers.length, 1, 'one fill at a time')
  await world.finish(0, 'old')
  t.same(await before, ['filled', 'old'])
  t.equal(world.results[0], 'unshared', 'its state had changed when it ended')
  await world.started(2)
  const late = world.ask()
  await turns()
  await world.finish(1, 'new')
  t.same(await Promise.all(after), Array(2).fill(['gathered', 'new']))
  t.same(await late, ['joined', 'new'])
  t.same(
    [await world.ask(), world.results],
    [
      ['hit', 'new'],
      ['unshared', 'committed'],
    ],
  )
})

t.test('while unsettled: one fill runs and one round gathers, whatever arrives', async (t) => {
  const world = await World.make(t)
  world.state = unsettled
  const waves: Promise<[string, string]>[][] = [[world.ask()]]
  await world.started(1)
  for (let round = 0; round < 4; round++) {
    const wave = [world.ask()]
    await turns()
    wave.push(...Array.from({ length: 10 }, () => world.ask()))
    await turns()
    waves.push(wave)
    t.equal(world.producers.length, round + 1, 'no request starts another fill, or joins an earlier one')
    await world.finish(round, `fill ${round}`)
    await world.started(round + 2)
  }
  await world.finish(4, 'fill 4')
  for (const [round, wave] of waves.entries()) {
    const expected = [round === 0 ? 'filled' : 'gathered', `fill ${round}`]
    for (const answer of await Promise.all(wave)) t.same(answer, expected)
  }
  t.same(world.results, Array(5).fill('unshared'))
  t.equal(world.cache.storeEntries, 0)
})

t.test('what is told of the next request is how it is answered', async (t) => {
  const world = await World.make(t)
  const told = (): string => world.fresh.explain('key', world.state)
  t.equal(told(), 'nothing-kept')
  const first = world.ask()
  await world.started(1)
  t.equal(told(), 'join')
  const joined = world.ask()
  await turns()
  world.state = settled('two')
  t.equal(told(), 'gather')
  const gathered = world.ask()
  await turns()
  world.state = settled('one')
  await world.finish(0, 'text')
  t.same(await Promise.all([first, joined, gathered]), [
    ['filled', 'text'],
    ['joined', 'text'],
    ['gathered', 'text'],
  ])
  t.equal(told(), 'hit')
  t.same(await world.ask(), ['hit', 'text'])
  for (const [state, why] of [
    [settled('two'), 'changed'],
    [unsettled, 'unsettled'],
    [settled('one', { generation: 1 }), 'outdated'],
    [settled('one', { maxAgeMs: -1 }), 'outdated'],
  ] as const) {
    world.state = state
    t.equal(told(), why)
  }
  t.equal(world.producers.length, 1, 'nothing was filled for it')
})

t.test('an unsettled time leaves nothing behind', async (t) => {
  const world = await World.make(t)
  world.state = unsettled
  const during = world.ask()
  await world.started(1)
  world.state = settled('one')
  const gathered = [world.ask(), world.ask()]
  await turns()
  await world.finish(0, 'unsure')
  t.same(await during, ['filled', 'unsure'])
  await world.started(2)
  const joined = world.ask()
  await turns()
  await world.finish(1, 'sure')
  t.same(await Promise.all(gathered), Array(2).fill(['gathered', 'sure']))
  t.same(await joined, ['joined', 'sure'])
  t.same(await world.ask(), ['hit', 'sure'])

  world.state = unsettled
  const again = world.ask()
  await world.started(3)
  await world.finish(2, 'unsure')
  t.same(await again, ['filled', 'unsure'], 'a committed entry does not answer while unsettled')
  world.state = settled('one')
  t.same(await world.ask(), ['hit', 'sure'], 'but it may again: its state is the same')
})

t.test('a round whose state is committed answers without a fill', async (t) => {
  const world = await World.make(t)
  const first = world.ask()
  await world.started(1)
  const state = world.state
  world.state = unsettled
  const gathered = [world.ask(), world.ask()]
  await turns()
  world.state = state
  await world.finish(0, 'text')
  t.same(await first, ['filled', 'text'])
  t.same(await Promise.all(gathered), Array(2).fill(['gathered', 'text']))
  t.same([world.producers.length, world.results], [1, ['committed']])
  t.same(await world.ask(), ['hit', 'text'], 'the round has ended')
})

t.test('a state that is milliseconds too young is observed again, once', async (t) => {
  const world = await World.make(t)
  world.state = settled('one', { unsettledMs: 5 })
  const patient: FillRequest = {
    ...world.request,
    observe: async () => {
      world.state = settled('one')
      return world.request.observe()
    },
  }
  const reading = await world.fresh.read('key', world.state, () => patient)
  t.equal(world.observations, 1)
  await world.finish(0, 'text')
  t.equal((await collect(reading.follower)).toString(), 'text')
  t.same(world.results, ['committed'])

  world.state = settled('two', { unsettledMs: 5 })
  world.observations = 0
  const still = world.ask()
  await world.started(2)
  t.equal(world.observations, 2, 'no more than once')
  await world.finish(1, 'young')
  t.same([await still, world.results[1]], [['filled', 'young'], 'unshared'])

  world.state = settled('three', { unsettledMs: 2000 })
  world.observations = 0
  const long = world.ask()
  await world.started(3)
  t.equal(world.observations, 1, 'it does not wait for seconds')
  await world.finish(2, 'text')
  await long
})

t.test('an observation that fails rejects all gathered requests; the key goes on', async (t) => {
  const world = await World.make(t)
  world.state = unsettled
  const first = world.ask()
  await world.started(1)
  const gathered = [world.ask(), world.ask(), world.ask()]
  const rejected = gathered.map((each) => t.rejects(each, /the repository has gone/))
  await turns()
  // The observation after the fill is for the gathered requests: an unsettled fill is not confirmed.
  world.observeError = new Error('the repository has gone')
  await world.finish(0, 'text')
  t.same(await first, ['filled', 'text'])
  await Promise.all(rejected)
  t.equal(world.producers.length, 1)

  const next = world.ask()
  await world.started(2)
  await world.finish(1, 'next')
  t.same(await next, ['filled', 'next'])
})

t.test('requests during the observation of a round wait for the round after it', async (t) => {
  const world = await World.make(t)
  world.state = unsettled
  let answer!: () => void
  const held = new Promise<void>((resolve) => (answer = resolve))
  const slow: FillRequest = { ...world.request, observe: () => held.then(() => unsettled) }
  const first = world.ask()
  await world.started(1)
  const gathered = world.fresh.read('key', unsettled, () => slow)
  await world.finish(0, 'one')
  await first
  const late = world.ask()
  t.ok(await pending(late))
  answer()
  await world.started(2)
  const { follower } = await gathered
  await world.finish(1, 'two')
  t.equal((await collect(follower)).toString(), 'two')
  await world.started(3)
  await world.finish(2, 'three')
  t.same(await late, ['gathered', 'three'])
})

t.test('a fill that fails fails all its followers; the next request starts another', async (t) => {
  const world = await World.make(t)
  const asked = [world.ask(), world.ask()]
  await world.started(1)
  const rejected = asked.map((each) => t.rejects(each, { name: 'FillError', fault: 'producer' }))
  world.state = settled('two')
  const gathered = world.ask()
  await turns()
  world.producers[0]!.push(Buffer.from('some')).fail()
  await Promise.all(rejected)
  await world.started(2)
  world.producers[1]!.fail()
  await t.rejects(gathered, { name: 'FillError', fault: 'producer' })
  await eventually('both have ended', () => world.results.every((result) => result !== undefined))

  const next = world.ask()
  await world.started(3)
  await world.finish(2, 'text')
  t.same(
    [await next, world.results],
    [
      ['filled', 'text'],
      ['failed', 'failed', 'committed'],
    ],
  )
})

t.test('a fill whose state cannot be observed again is not committed', async (t) => {
  for (const spoil of [
    (world: World) => (world.state = unsettled),
    (world: World) => (world.state = settled('one', { unsettledMs: 1e9 })),
    (world: World) => (world.state = settled('two')),
    (world: World) => (world.observeError = new Error('cannot observe')),
  ]) {
    const world = await World.make(t)
    const asked = world.ask()
    await world.started(1)
    spoil(world)
    await world.finish(0, 'text')
    t.same([await asked, world.results], [['filled', 'text'], ['unshared']])
    world.state = settled('one')
    const next = world.ask()
    await world.started(2)
    await world.finish(1, 'text')
    t.same(await next, ['filled', 'text'])
  }
})

t.test('a damaged entry is discarded, and one of the requests fills it again', async (t) => {
  const world = await World.make(t)
  const first = world.ask()
  await world.started(1)
  await world.finish(0, 'text')
  await first
  // Its bytes leave memory, and its file is truncated.
  world.cache.get('key')!.file.cool()
  truncateSync(bodiesIn(world.directory)[0]!, 1)
  const asked = [world.ask(), world.ask(), world.ask()]
  await world.started(2)
  await world.finish(1, 'again')
  const answers = (await Promise.all(asked)).map(String)
  t.same(answers.sort(), ['filled,again', 'joined,again', 'joined,again'])
  t.equal(world.cache.followers, 0)
  t.same(await world.ask(), ['hit', 'again'])
})

t.test('an entry of an earlier generation does not answer, whatever its token', async (t) => {
  const world = await World.make(t)
  const first = world.ask()
  await world.started(1)
  await world.finish(0, 'one')
  await first
  world.state = settled('one', { generation: 1 })
  const second = world.ask()
  await world.started(2)
  world.state = settled('one', { generation: 2 })
  const third = world.ask()
  await turns()
  t.equal(world.producers.length, 2, 'a running fill is not joined either')
  await world.finish(1, 'two')
  t.same(await second, ['filled', 'two'])
  await world.started(3)
  await world.finish(2, 'three')
  t.same(await third, ['gathered', 'three'])
  t.same(world.results, ['committed', 'unshared', 'committed'])
  t.same(await world.ask(), ['hit', 'three'])
})

t.test('a lease opened during a fill prevents the commit; one opened later has no effect', async (t) => {
  const world = await World.make(t)
  const first = world.ask()
  await world.started(1)
  world.state = settled('one', { openings: 1 })
  const second = world.ask()
  await turns()
  await world.finish(0, 'one')
  t.same(await first, ['filled', 'one'])
  await world.started(2)
  t.same(
    world.results,
    ['unshared', undefined],
    'it is not joined either: what it reads now may be taken back',
  )
  await world.finish(1, 'two')
  t.same([await second, world.results[1]], [['gathered', 'two'], 'committed'])
  world.state = settled('one', { openings: 2 })
  t.same(await world.ask(), ['hit', 'two'], 'it was committed before, and nothing has changed')
})

t.test('an entry past its maximum age is filled again, and the fill is no loser', async (t) => {
  const world = await World.make(t)
  const first = world.ask()
  await world.started(1)
  await world.finish(0, 'one')
  await first
  world.state = settled('one', { maxAgeMs: 3_600_000 })
  t.same(await world.ask(), ['hit', 'one'])
  const now = performance.now.bind(performance)
  t.teardown(() => (performance.now = now))
  performance.now = () => now() + 3_600_001
  const second = world.ask()
  await world.started(2)
  performance.now = () => now() + 7_200_003
  const late = world.ask()
  await turns()
  t.equal(world.producers.length, 2, 'a fill past the maximum age is not joined')
  await world.finish(1, 'two')
  t.same(await second, ['filled', 'two'])
  await world.started(3)
  await world.finish(2, 'three')
  t.same(await late, ['gathered', 'three'])
  t.same(world.results, ['committed', 'unshared', 'committed'])
})

t.test('an entry of an earlier process has generation 0 and an infinite age', async (t) => {
  for (const [state, reuse] of [
    [settled('one'), 'hit'],
    [settled('one', { generation: 1 }), 'filled'],
    [settled('one', { maxAgeMs: 1e9 }), 'filled'],
  ] as const) {
    const before = await World.make(t)
    const first = before.ask()
    await before.started(1)
    await before.finish(0, 'old')
    await first
    await before.cache.close()
    const { cache } = await openCache(t, { directory: before.directory })
    const { run: producer } = new ManualProducer().push(Buffer.from('new')).end()
    const request = { observe: async () => state, producer: () => producer }
    const reading = await new FreshCache(cache).read('key', state, () => request)
    t.equal(reading.reuse, reuse)
    t.equal((await collect(reading.follower)).toString(), reuse === 'hit' ? 'old' : 'new')
  }
})

t.test('a request waits until the entries of an earlier process are listed, and is a hit', async (t) => {
  const directory = tempDir(t)
  layDownEntries(directory, 3)
  const disk = await breakFs(t)
  const cache = await StreamCache.open(cacheOptions({ directory }).options)
  disk.decide = (what) => (what === 'readdir' ? 'hang' : undefined)
  t.teardown(() => cache.close())
  const request = { observe: async () => settled('token 1'), producer: () => t.fail('it is kept') as never }
  const reading = Promise.resolve(new FreshCache(cache).read('key 1', settled('token 1'), () => request))
  t.ok(await pending(reading))
  disk.decide = () => undefined
  disk.release()
  const { reuse, follower } = await reading
  t.same([reuse, String(await collect(follower))], ['hit', 'bytes'])
})

t.test('a forgotten entry does not come back, even if it is being committed', async (t) => {
  const world = await World.make(t)
  const entries = (): string[] => readdirSync(join(world.directory, 'instance-0/entries'))
  const first = world.ask()
  await world.started(1)
  await world.finish(0, 'one')
  await first
  world.fresh.forget('key')
  world.fresh.forget('nothing')
  t.same(entries(), [], 'its file is removed when that returns')

  // Forgotten between the fill's second observation and the rename of its file.
  let observations = 0
  const request: FillRequest = {
    ...world.request,
    observe: async () => {
      observations++
      queueMicrotask(() => world.fresh.forget('key'))
      return world.state
    },
  }
  const { follower } = await world.fresh.read('key', world.state, () => request)
  await world.started(2)
  await world.finish(1, 'two')
  t.equal((await collect(follower)).toString(), 'two', 'its followers are served')
  t.same([observations, world.results[1]], [1, 'committed'])
  t.equal(world.cache.get('key'), undefined)
  await eventually('its file is removed too', () => entries().length === 0)
  const third = world.ask()
  await world.started(3)
  await world.finish(2, 'three')
  t.same(
    [await third, await world.ask()],
    [
      ['filled', 'three'],
      ['hit', 'three'],
    ],
  )
})
