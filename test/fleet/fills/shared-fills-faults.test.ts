// Random faults of nodes and of their ways to the engine, on virtual time: what every client gets is whole or an error.
import t from 'tap'
import fc from 'fast-check'
import { FillError, type Producer } from '../../../src/streamcache/index.js'
import { bytesOf } from '../../support/producers.js'
import type { Reach } from '../../support/fleet/reached-engine.js'
import { paced, VirtualFleet, type VirtualEntry, type VirtualNode } from '../../support/fleet/virtual-node.js'

const length = 20_000
const chunk = 1000
/** The longest that a client waits in milliseconds, whatever happens: faults last for 25 s at most. */
const patienceMs = 120_000

type Fault =
  | { readonly kind: 'kill' }
  | { readonly kind: 'stop'; readonly forMs: number }
  | { readonly kind: 'reach'; readonly reach: Reach; readonly forMs: number }

interface Event {
  readonly atMs: number
  readonly node: number
  readonly what: 'read' | Fault
}

interface Scenario {
  readonly repeatable: boolean
  readonly paceMs: number
  readonly events: readonly Event[]
  readonly seed: number
}

const forMs = fc.integer({ min: 1, max: 15_000 })
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.constant({ kind: 'kill' as const }),
  fc.record({ kind: fc.constant('stop' as const), forMs }),
  fc.record({
    kind: fc.constant('reach' as const),
    reach: fc.constantFrom<Reach>('away', 'mute', 'cut'),
    forMs,
  }),
)
const event = fc.record<Event>({
  atMs: fc.integer({ min: 0, max: 10_000 }),
  node: fc.integer({ min: 0, max: 2 }),
  what: fc.oneof({ weight: 2, arbitrary: fc.constant('read' as const) }, { weight: 1, arbitrary: fault }),
})
const scenario = fc.record<Scenario>({
  repeatable: fc.boolean(),
  paceMs: fc.constantFrom(1, 20, 100, 400),
  events: fc.array(event, { minLength: 3, maxLength: 14 }),
  seed: fc.integer({ min: 1, max: 1000 }),
})

async function run({ repeatable, paceMs, events, seed }: Scenario): Promise<void> {
  let state = seed
  const random = () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647
  const fleet = new VirtualFleet({ random, limitMs: 60_000 })
  const { clock } = fleet
  let runs = 0
  /** Each run of a pack makes other bytes. */
  const producer: Producer = (signal) =>
    paced(clock, bytesOf(repeatable ? 0 : runs++, 0, length), chunk, paceMs)(signal)
  const nodes: VirtualNode[] = []
  for (const name of 'abc') nodes.push(await fleet.add(name, producer))
  const reads: Promise<void>[] = []
  for (const { atMs, node: index, what } of events) {
    const node = nodes[index]!
    const happen = async (): Promise<void> => {
      await clock.wait(atMs)
      if (node.mode === 'dead') return
      if (what === 'read') reads.push(client(node, repeatable))
      else await misfortune(node, what)
    }
    reads.push(happen())
  }
  try {
    await clock.until(
      (async () => {
        // Reads are added as events happen.
        for (let done = 0; done < reads.length; done++) await reads[done]
      })(),
    )
    checkRuns(fleet, events)
  } finally {
    for (const node of nodes) node.kill()
  }
}

async function misfortune(node: VirtualNode, what: Fault): Promise<void> {
  const { clock } = node.fleet
  if (what.kind === 'kill') return node.kill()
  if (what.kind === 'stop') node.mode = 'silent'
  node.reached.reach = what.kind === 'reach' ? what.reach : 'cut'
  await clock.wait(what.forMs)
  if ((node.mode as string) === 'dead') return
  node.mode = 'up'
  node.reached.answer()
}

/** Reads, and checks what comes. @throws if it is wrong, or comes too late */
async function client(node: VirtualNode, repeatable: boolean): Promise<void> {
  const { clock } = node.fleet
  const began = clock.now()
  for (let tries = 0; ; tries++) {
    const entry = node.read({ repeatable })
    while (entry.state === 'growing' && (node.mode as string) !== 'dead') {
      if (clock.now() - began > patienceMs) throw new Error(`${node.name} waits for ever`)
      await Promise.race([entry.changed, clock.wait(1000)])
    }
    const { bytes, error } = entry
    const origin = originOf(entry, repeatable)
    if (!bytesOf(origin, 0, bytes.length).equals(bytes)) throw new Error(`${node.name} has wrong bytes`)
    if (node.mode === 'dead') return
    if (entry.state === 'whole') {
      if (bytes.length !== length) throw new Error(`${node.name} has ${bytes.length} bytes`)
      return
    }
    // A fill that was begun for another node, and that a third one makes; the origin asks anew.
    const cause = error instanceof FillError ? error.cause : undefined
    if ((cause as Error | undefined)?.name === 'PeerRefused' && bytes.length === 0 && tries < 10) continue
    if (repeatable || bytes.length === 0) throw new Error(`${node.name} has failed`, { cause: error })
    return
  }
}

/** Returns which run an entry's bytes are of. */
function originOf({ bytes }: VirtualEntry, repeatable: boolean): number {
  if (repeatable) return 0
  for (let origin = 0; origin < 100; origin++) {
    if (bytesOf(origin, 0, Math.min(100, bytes.length)).equals(bytes.subarray(0, 100))) return origin
  }
  return -1
}

/** While all nodes reach the engine, each fault costs at most one more run, and each node makes at most one. */
function checkRuns(fleet: VirtualFleet, events: readonly Event[]): void {
  const faults = events.filter(({ what }) => what !== 'read')
  const isReached = faults.every(({ what }) => what !== 'read' && what.kind === 'kill')
  if (isReached && fleet.runs > 1 + faults.length) throw new Error(`${fleet.runs} runs`)
  for (const node of fleet.nodes.values()) {
    const most = node.ends.length + 1
    if (node.runs > most) throw new Error(`${node.runs} runs of ${node.name}`)
  }
}

t.test('whatever fails, every client gets all bytes or an error, and in time', async () => {
  await fc.assert(fc.asyncProperty(scenario, run), { numRuns: 100 })
})
