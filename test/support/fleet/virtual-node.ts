import { createHash } from 'node:crypto'
import { EngineGate } from '../../../src/fleet/engine-gate.js'
import type { FleetEngine } from '../../../src/fleet/engine.js'
import { TableEngine } from '../../../src/fleet/engines/table/table-engine.js'
import type { SharedFill, SharedFillEnd } from '../../../src/fleet/fills/shared-fill.js'
import { SharedFills } from '../../../src/fleet/fills/shared-fills.js'
import { FleetNames, type DigestedKey } from '../../../src/fleet/names.js'
import {
  PeerRefused,
  PeerSilent,
  PeerUnreachable,
  type PeerAnswer,
  type PeerFault,
  type Peers,
} from '../../../src/fleet/peers/peer.js'
import { FillError, type Producer } from '../../../src/streamcache/index.js'
import { withRetries } from '../../../src/streamcache/fill/retry.js'
import { Counted } from './counted.js'
import { ReachedEngine } from './reached-engine.js'
import { idle, VirtualClock } from './virtual-clock.js'

/** What a virtual node makes: its bytes so far, and how it has ended. */
export class VirtualEntry {
  readonly chunks: Buffer[] = []
  state: 'growing' | 'whole' | 'failed' = 'growing'
  error: unknown
  #wake = (): void => {}
  #changed = new Promise<void>((resolve) => (this.#wake = resolve))

  readonly fill: SharedFill

  constructor(fill: SharedFill) {
    this.fill = fill
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks)
  }

  get changed(): Promise<void> {
    return this.#changed
  }

  tell(): void {
    this.#wake()
    this.#changed = new Promise<void>((resolve) => (this.#wake = resolve))
  }

  /** Resolves with all bytes. @throws the fill's error */
  async whole(): Promise<Buffer> {
    while (this.state === 'growing') await this.#changed
    if (this.state === 'failed') throw this.error
    return this.bytes
  }
}

export interface ReadOptions {
  readonly fromPeer?: boolean
  readonly repeatable?: boolean
  readonly state?: string | undefined
  /** What the fill comes to once it has succeeded; an entry if left out. */
  readonly keep?: boolean
  readonly retries?: number
  readonly isRepaired?: boolean
}

/** An error that a node has told of. */
export class Told extends Error {
  readonly fault: PeerFault

  constructor(fault: PeerFault) {
    super(fault.message)
    this.fault = fault
  }
}

export const stateNow = 'state-1'
const names = new FleetNames('test')
const theKey = { repository: 'r.git', key: 'listing r.git' }
const latencyMs = 1
const silentMs = 3000

export interface VirtualFleetOptions {
  readonly filesAreShared?: boolean
  readonly limitMs?: number
  readonly random?: () => number
}

/** Nodes that are in this process, on virtual time. */
export class VirtualFleet {
  readonly nodes = new Map<string, VirtualNode>()
  readonly clock: VirtualClock
  readonly engine: FleetEngine
  readonly options: VirtualFleetOptions

  constructor(options: VirtualFleetOptions = {}) {
    this.clock = new VirtualClock()
    this.engine = new TableEngine({ clock: this.clock })
    this.options = options
  }

  async add(name: string, producer: Producer): Promise<VirtualNode> {
    const node = new VirtualNode(this, name, producer)
    this.nodes.set(name, node)
    await idle()
    return node
  }

  /** Runs of producers so far. */
  get runs(): number {
    let runs = 0
    for (const node of this.nodes.values()) runs += node.runs
    return runs
  }
}

/** A node with one key: a single flight, and kept entries. It has no states but the one that it is asked for. */
export class VirtualNode implements Peers {
  readonly fleet: VirtualFleet
  readonly name: string
  producer: Producer
  /** `dead`: killed; `silent`: stopped, or the network loses all it sends. */
  mode: 'up' | 'dead' | 'silent' = 'up'
  runs = 0
  /** Questions of other nodes, and how many of them were refused. */
  asked = 0
  refused = 0
  running: VirtualEntry | undefined
  kept: VirtualEntry | undefined
  notes: unknown[] = []
  readonly counted = new Counted()
  readonly reached: ReachedEngine
  readonly gate: EngineGate
  readonly fills: SharedFills
  readonly ends: SharedFillEnd[] = []
  readonly #kill = new AbortController()

  constructor(fleet: VirtualFleet, name: string, producer: Producer) {
    this.fleet = fleet
    this.name = name
    this.producer = producer
    const { clock, engine, options } = fleet
    const { filesAreShared = false, limitMs = 300_000, random = () => 0.5 } = options
    this.reached = new ReachedEngine(engine)
    this.gate = new EngineGate({
      open: () => Promise.resolve(this.reached.engine),
      ...{ clock, random, metrics: this.counted.metrics },
      log: { info: () => {}, warn: () => {} } as never,
    })
    this.fills = new SharedFills({
      ...{ engine: this.gate, peers: this, node: name, limitMs, filesAreShared, clock, random },
      names,
      members: { preferred: () => name },
      encode,
      metrics: this.counted.metrics,
    })
  }

  /** The digests by which the engine knows the one key. */
  get keyDigests(): DigestedKey {
    return names.of(theKey)
  }

  /** Ends it at once, as by SIGKILL. */
  kill(): void {
    this.mode = 'dead'
    this.reached.reach = 'cut'
    this.#kill.abort(new Error('killed'))
    this.running?.tell()
    void this.gate.close()
  }

  #isLeaving = false

  /** Ends it at once, in order: those that read from it are told. */
  leave(): void {
    this.#isLeaving = true
    this.kill()
  }

  /** Reads the key's entry: the kept one, the one that grows, or a new one. */
  read(options: ReadOptions = {}): VirtualEntry {
    const { fromPeer = false } = options
    if (this.kept) return this.kept
    if (!this.running) return this.#fill(options)
    if (fromPeer && this.running.fill.isBorrowed) throw new PeerRefused('elsewhere')
    return this.running
  }

  #fill({
    fromPeer = false,
    repeatable = true,
    keep = true,
    retries = 0,
    isRepaired = false,
    ...rest
  }: ReadOptions): VirtualEntry {
    const state = 'state' in rest ? rest.state : stateNow
    const fill = this.fills.share({
      ...{ ...theKey, state, fromPeer, repeatable, isRepaired },
      question: { repeatable },
      produce: (signal) => {
        this.runs++
        return this.producer(signal)
      },
      borrowed: (notes) => void this.notes.push(notes),
    })
    const entry = new VirtualEntry(fill)
    this.running = entry
    void this.#run(entry, { repeatable, keep, retries })
    return entry
  }

  async #run(
    entry: VirtualEntry,
    { repeatable, keep, retries }: { repeatable: boolean; keep: boolean; retries: number },
  ): Promise<void> {
    const { signal } = this.#kill
    const produced = () => {
      const { bytes } = entry
      return { length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
    }
    const producer = (signal: AbortSignal) => entry.fill.produce(signal) as AsyncIterable<Buffer>
    let end: SharedFillEnd = { kind: 'nothing' }
    try {
      for await (const chunk of withRetries(producer, signal, produced, {
        fillRetries: retries,
        repeatable,
      })) {
        // A stopped process goes on when it is continued.
        while (this.mode === 'silent') await this.fleet.clock.wait(100)
        signal.throwIfAborted()
        if (chunk.length > 0) entry.chunks.push(Buffer.from(chunk))
        entry.tell()
      }
      entry.state = 'whole'
      if (keep) end = { kind: 'entry', entry: { length: entry.bytes.length } }
      if (keep) this.kept = entry
    } catch (error) {
      entry.state = 'failed'
      entry.error = error
      end = { kind: 'failure', error, attempt: 1, retryAfterMs: this.retryAfterMs }
    }
    if (this.mode === 'dead') return entry.tell()
    this.running = undefined
    this.ends.push(end)
    entry.fill.ended(end)
    entry.tell()
  }

  retryAfterMs = 0

  /** Asks another node of the fleet. */
  async ask(name: string, question: object, { signal }: { signal: AbortSignal }): Promise<PeerAnswer> {
    const { clock, nodes } = this.fleet
    const node = nodes.get(name)
    await clock.wait(latencyMs)
    // A stopped process asks nothing.
    while (this.mode === 'silent') await clock.wait(100)
    signal.throwIfAborted()
    if (!node || node.mode === 'dead') throw new PeerUnreachable(name)
    if (node.mode === 'silent') {
      await clock.wait(silentMs)
      throw new PeerSilent(name)
    }
    node.asked++
    try {
      const { repeatable } = question as { repeatable: boolean }
      const entry = node.read({ fromPeer: true, repeatable })
      return { body: node.#stream(entry, signal), ageMs: 0, notes: () => ({ from: name }) }
    } catch (error) {
      if (error instanceof PeerRefused) node.refused++
      throw error
    }
  }

  tell(): Promise<void> {
    return Promise.resolve()
  }

  async *#stream(entry: VirtualEntry, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { clock } = this.fleet
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    for (let at = 0; ;) {
      signal.throwIfAborted()
      if (this.mode === 'dead') throw new PeerUnreachable(this.name, { isLeaving: this.#isLeaving })
      if (this.mode === 'silent') {
        await Promise.race([clock.wait(silentMs), aborted])
        if ((this.mode as string) === 'silent') throw new PeerSilent(this.name)
        continue
      }
      const { changed, chunks, state } = entry
      if (at < chunks.length) yield chunks[at++]!
      else if (state === 'whole') return
      else if (state === 'failed') throw errorToPeers(entry.error)
      else {
        // Signs of life: the modes are looked at once a second.
        await Promise.race([changed, clock.wait(1000), aborted])
      }
    }
  }
}

const encode = (error: unknown): PeerFault => ({ code: 'fault', message: (error as Error).message })

/** Returns an error as another node gets to know it. */
function errorToPeers(error: unknown): Error {
  const cause = error instanceof FillError && error.cause instanceof Error ? error.cause : error
  return cause instanceof PeerRefused ? cause : new Told(encode(error))
}

/** Returns a producer that makes these bytes, so many at a time, with a pause before each. */
export function paced(clock: VirtualClock, bytes: Buffer, size: number, everyMs: number): Producer {
  return async function* (signal) {
    for (let at = 0; at < bytes.length; at += size) {
      await clock.wait(everyMs)
      signal.throwIfAborted()
      yield bytes.subarray(at, at + size)
    }
  }
}
