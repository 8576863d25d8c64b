import { createHash } from 'node:crypto'
import { systemClock, type Clock } from '../limits/clock.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { FleetEngine } from './engine.js'

export interface MembersOptions {
  readonly engine: Pick<FleetEngine, 'beat' | 'leave'>
  /** This node. */
  readonly node: string
  /** The names of all nodes that the fleet may have. */
  readonly configured: readonly string[]
  readonly metrics: Pick<Metrics, 'fleetMembers'>
  readonly clock?: Clock
}

/** Milliseconds between two signs of life, and those after which a node without one counts as gone. */
const beatMs = 3000
const beatTtlMs = 10_000

/**
 * The nodes of a fleet that are alive. This node gives a sign of life every 3 s and learns of the others by the same
 * operation; if the engine does not answer, all nodes that are configured count as alive.
 */
export class Members {
  readonly #options: MembersOptions
  readonly #clock: Clock
  #live: readonly string[]
  #cancel: (() => void) | undefined
  #beating: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: MembersOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#live = options.configured
    options.metrics.fleetMembers.set(1)
  }

  /**
   * Gives a sign of life, after one that is under way, and resolves with its end; further ones follow. To be called when the
   * engine answers for the first time, and whenever it answers again. Never rejects.
   */
  start(): Promise<void> {
    this.#beating = this.#beating.then(async () => {
      if (!this.#isClosed) await this.#beat()
      this.#beatLater()
    })
    return this.#beating
  }

  #beatLater(): void {
    this.#cancel?.()
    if (!this.#isClosed) this.#cancel = this.#clock.after(beatMs, () => void this.start())
  }

  async #beat(): Promise<void> {
    const { engine, node, configured, metrics } = this.#options
    try {
      const names = new Set(await engine.beat(node, beatTtlMs)).add(node)
      // Others cannot be asked, whatever the engine says; a name that is not known here would have no preferred keys done.
      this.#live = configured.filter((name) => names.has(name))
      metrics.fleetMembers.set(this.#live.length)
    } catch {
      this.#live = configured
    }
  }

  /** Names of all nodes that the fleet may have. */
  get configured(): readonly string[] {
    return this.#options.configured
  }

  /** Names of the live nodes, as last known. */
  get live(): readonly string[] {
    return this.#live
  }

  /**
   * Returns the node that should do what is to be done once for a key: all nodes that know the same members name the same
   * one, and a member that comes or goes moves only the keys that are its own (rendezvous hashing).
   */
  preferred(key: string): string {
    const { node } = this.#options
    let best = { name: node, score: scoreOf(node, key) }
    for (const name of this.#live) {
      const score = scoreOf(name, key)
      if (score > best.score) best = { name, score }
    }
    return best.name
  }

  /** Gives no further signs of life, and has the last one count no more. Its fill leases stay. Never rejects. */
  async retire(): Promise<void> {
    this.#isClosed = true
    this.#cancel?.()
    // A sign of life that arrives later would undo it.
    await this.#beating
    const { engine, node } = this.#options
    await engine.beat(node, 1).catch(() => {})
  }

  /** Tells the engine that this node ends, and its fill leases with it. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel?.()
    await this.#beating
    await this.#options.engine.leave(this.#options.node).catch(() => {})
  }
}

/** In hexadecimal: texts of one length compare as numbers do. */
const scoreOf = (node: string, key: string): string =>
  createHash('sha256').update(`${node}\0${key}`).digest('hex')
