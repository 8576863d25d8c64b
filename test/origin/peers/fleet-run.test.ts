import t from 'tap'
import { FillFailedElsewhere } from '../../../src/fleet/fill-failed-elsewhere.js'
import type { SharedFill, SharedFillEnd, SharedFillRequest } from '../../../src/fleet/fills/shared-fill.js'
import { PeerRefused } from '../../../src/fleet/peers/peer.js'
import { FreshCache } from '../../../src/freshness/fresh-cache.js'
import { BackingOff } from '../../../src/origin/faults/errors.js'
import { FleetRun, translated, type FleetRunRequest } from '../../../src/origin/peers/fleet-run.js'
import { FillError } from '../../../src/streamcache/index.js'
import { stateOf } from '../../support/pack-observations.js'
import { collect } from '../../support/producers.js'
import { openCache } from '../../support/stream-cache.js'

/** What a shared fill does: the bytes of another node, a run here, or an error. */
type Plan = 'here' | 'there' | Error

/** Fills that go as planned, one after the other. */
function planned(...plans: (Plan | (() => Promise<Plan>))[]) {
  const requests: SharedFillRequest[] = []
  const ends: SharedFillEnd[] = []
  const share = (request: SharedFillRequest): SharedFill => {
    requests.push(request)
    const next = plans.shift()!
    let isBorrowed = false
    return {
      get isBorrowed() {
        return isBorrowed
      },
      find: () => Promise.resolve(undefined),
      async *produce(signal) {
        const plan = typeof next === 'function' ? await next() : next
        if (plan instanceof Error) throw new FillError('producer', plan.message, { cause: plan })
        if (plan === 'here') {
          yield* request.produce(signal)
          return
        }
        isBorrowed = true
        yield Buffer.from('there')
        request.borrowed?.({ ageMs: 70 })
      },
      ended: (end) => void ends.push(end),
    }
  }
  return { fills: { share }, requests, ends }
}

const requestOf = (isForPeer: boolean): FleetRunRequest => ({
  ...{ repository: 'r', key: 'k', state: 's', question: {}, isForPeer, repeatable: true },
  async *produce() {
    yield Buffer.from('here')
  },
})

const signal = new AbortController().signal

async function bytesOf(run: FleetRun): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of run.produce(signal)) chunks.push(chunk as Buffer)
  return String(Buffer.concat(chunks))
}

void t.test('a fill for another node that a third one makes is refused', async (t) => {
  const { fills, requests } = planned(new PeerRefused('elsewhere'))
  const run = new FleetRun(fills, requestOf(true))
  await t.rejects(bytesOf(run), { name: 'FillError', cause: PeerRefused })
  t.equal(requests[0]?.fromPeer, true)
  t.equal(run.mayWaitFor(false), false, 'a client that comes now shares the next one')
})

void t.test('unless a client has joined it: then it goes on as a fill for that client', async (t) => {
  const { fills, requests, ends } = planned(new PeerRefused('elsewhere'), 'there')
  const run = new FleetRun(fills, requestOf(true))
  t.equal(run.mayWaitFor(false), true)
  t.equal(await bytesOf(run), 'there')
  t.strictSame(
    requests.map(({ fromPeer }) => fromPeer),
    [true, false],
  )
  t.strictSame(ends, [{ kind: 'nothing' }], 'the first claim has ended')
  t.throws(() => run.mayWaitFor(true), PeerRefused, 'other nodes do not wait for it')
})

void t.test('a client that comes while the fill for another node ends has an answer', async (t) => {
  const { cache } = await openCache(t)
  const fresh = new FreshCache(cache)
  const { fills } = planned(new PeerRefused('elsewhere'), 'there')
  const runs: FleetRun[] = []
  let refused!: () => void
  const isRefused = new Promise<void>((resolve) => (refused = resolve))
  let end!: () => void
  const mayEnd = new Promise<void>((resolve) => (end = resolve))
  async function* producedBy(run: FleetRun): AsyncGenerator<Buffer> {
    try {
      yield* run.produce(signal) as AsyncIterable<Buffer>
    } catch (error) {
      refused()
      await mayEnd
      throw error
    }
  }
  const read = (isForPeer: boolean) =>
    fresh.read('k', stateOf('s'), () => ({
      isForPeer,
      observe: async () => stateOf('s'),
      producer: () => () => {
        const run = new FleetRun(fills, requestOf(isForPeer))
        runs.push(run)
        return producedBy(run)
      },
      mayWaitFor: () => runs.at(-1)!.mayWaitFor(isForPeer),
    }))
  const forPeer = await read(true)
  const peers = t.rejects(collect(forPeer.follower), FillError)
  await isRefused
  const reading = read(false)
  await new Promise((resolve) => setImmediate(resolve))
  end()
  t.equal(String(await collect((await reading).follower)), 'there')
  await peers
})

void t.test('ages: the oldest that is possible, until it is known', async (t) => {
  const { fills } = planned('there')
  const run = new FleetRun(fills, requestOf(false))
  t.equal(run.ageMs(1000), 500)
  t.equal(run.ageMs(Infinity), 0)
  await bytesOf(run)
  t.equal(run.ageMs(1000), 70)
  const here = new FleetRun(planned('here').fills, requestOf(false))
  await bytesOf(here)
  t.equal(here.ageMs(1000), 0)
})

void t.test('a failure that is in force in the whole fleet blocks as one here', async (t) => {
  const failure = { state: 's', attempt: 2, code: 'c', message: 'm' }
  const error = new FillError('producer', 'm', { cause: new FillFailedElsewhere(failure, 1234) })
  t.match(translated(error), { name: 'BackingOff', retryAfterMs: 1234 })
  t.equal((translated(error) as Error).constructor, BackingOff)
  const other = Object.assign(new Error('x'), { name: 'FillFailedElsewhere', retryAfterMs: 1 })
  t.equal(translated(other), other, 'by its class, not by its name')
})
