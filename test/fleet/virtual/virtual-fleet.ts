import type { FleetEngine } from '../../../src/fleet/engine.js'
import { TableEngine } from '../../../src/fleet/engines/table/table-engine.js'
import { Random } from '../../support/random.js'
import { VirtualNode } from './virtual-node.js'
import { VirtualTime } from './virtual-time.js'

export interface FleetOptions {
  readonly nodes: number
  readonly seed: number
  /** Milliseconds of a fill. */
  readonly fillMs: number
  /** Milliseconds between two states of a repository; undefined: it has one. */
  readonly changeMs?: number
}

/** What the nodes of a fleet have in common: time, the engine, one repository with some keys, and counts. */
export class VirtualFleet {
  readonly time = new VirtualTime()
  readonly engine: FleetEngine = new TableEngine({ clock: this.time })
  readonly nodes: VirtualNode[]
  readonly random: Random
  readonly options: FleetOptions
  state = 0
  /** Operations of the engine, without heartbeats. */
  operations = 0
  beats = 0
  requests = 0
  answers = 0
  stale = 0
  /** Publishes that were refused. */
  losers = 0
  /** Runs of a producer, by key and state. */
  readonly fills = new Map<string, number>()
  /** Nodes that died or hung while they ran a fill, by its key and state. */
  readonly losses = new Map<string, number>()
  /** Milliseconds from the moment in which the maker of a fill died or hung until another node began it. */
  readonly takeovers: { readonly how: Loss; readonly ms: number }[] = []
  readonly #lost = new Map<string, { readonly how: Loss; readonly at: number }>()

  constructor(options: FleetOptions) {
    this.options = options
    this.random = new Random(options.seed)
    this.nodes = Array.from({ length: options.nodes }, (_, index) => new VirtualNode(`n${index}`, this))
    if (options.changeMs !== undefined) this.#change(options.changeMs)
  }

  /** Has every node ask for a key that many times, at random within a period. */
  ask(key: string, times: number, withinMs: number): void {
    for (const node of this.nodes) {
      for (let nth = 0; nth < times; nth++) {
        this.time.after(this.random.below(withinMs), () => void node.request(key))
      }
    }
  }

  /** Returns the node that runs a producer, if one does. */
  maker(key: string): VirtualNode | undefined {
    return this.nodes.find((node) => !node.isDead() && node.isRunning(key))
  }

  began(fill: string): void {
    this.fills.set(fill, (this.fills.get(fill) ?? 0) + 1)
    const lost = this.#lost.get(fill)
    if (lost) this.takeovers.push({ how: lost.how, ms: this.time.now() - lost.at })
    this.#lost.delete(fill)
  }

  lost(fill: string, how: Loss): void {
    this.losses.set(fill, (this.losses.get(fill) ?? 0) + 1)
    // Others take over at once only if they wait already.
    const isWanted = this.nodes.some((node) => !node.isDead() && node.isWaiting(fill))
    if (isWanted) this.#lost.set(fill, { how, at: this.time.now() })
  }

  /** Returns the milliseconds that a message takes, to an engine or a node. */
  latency(): number {
    return 0.5 + this.random.below(5) / 2
  }

  #change(changeMs: number): void {
    this.time.after(changeMs, () => {
      this.state++
      this.#change(changeMs)
    })
  }
}

/** How a node is lost: its process ends, so that its sockets refuse, or it says nothing for a while. */
export type Loss = 'died' | 'hung'
