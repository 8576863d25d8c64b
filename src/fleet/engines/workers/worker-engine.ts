import type {
  Claim,
  ClaimAnswer,
  Epoch,
  FillOutcome,
  FleetEngine,
  FleetLease,
  HeldClaim,
  Hint,
  NewFleetLease,
} from '../../engine.js'
import { Batch } from './batch.js'
import type { Channel } from './channel.js'
import { decodeError, restored, type Operation, type ToPrimary, type ToWorker } from './messages.js'

export interface WorkerEngineOptions {
  /** To the process that serves the engine: see EngineServer. */
  readonly channel: Channel
  /** Most operations that may wait for their answers; 10,000 if left out. */
  readonly waitingMax?: number
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/** The engine of a fleet of workers, as a worker sees it: each operation is one message to the primary, and one back. */
export class WorkerEngine implements FleetEngine {
  readonly #batch: Batch<ToPrimary>
  readonly #waitingMax: number
  readonly #waiting = new Map<number, Waiting>()
  readonly #listeners = new Set<(hint: Hint) => void>()
  readonly #stops: (() => void)[]
  #count = 0
  #closed = false

  constructor({ channel, waitingMax = 10_000 }: WorkerEngineOptions) {
    this.#batch = new Batch(channel)
    this.#waitingMax = waitingMax
    this.#stops = [
      channel.onMessage((message) => this.#take(message as readonly ToWorker[])),
      channel.onClose(() => this.#end('the primary process has closed the channel')),
    ]
  }

  claim(claim: Claim): Promise<ClaimAnswer> {
    return this.#call('claim', claim)
  }

  renew(held: HeldClaim): Promise<boolean> {
    return this.#call('renew', held)
  }

  publish(held: HeldClaim, outcome: FillOutcome): Promise<boolean> {
    return this.#call('publish', held, outcome)
  }

  epochs(repositories: readonly string[]): Promise<Epoch[]> {
    return this.#call('epochs', repositories)
  }

  change(repository: string): Promise<void> {
    return this.#call('change', repository)
  }

  openLease(lease: NewFleetLease, leftMs?: number): Promise<void> {
    return this.#call('openLease', lease, leftMs)
  }

  renewLease(id: string, ttlMs?: number): Promise<FleetLease | undefined> {
    return this.#call('renewLease', id, ttlMs)
  }

  endLease(id: string, end: 'changed' | 'unchanged'): Promise<FleetLease | undefined> {
    return this.#call('endLease', id, end)
  }

  leases(): Promise<FleetLease[]> {
    return this.#call('leases')
  }

  beat(node: string, ttlMs: number): Promise<string[]> {
    return this.#call('beat', node, ttlMs)
  }

  leave(node: string): Promise<void> {
    return this.#call('leave', node)
  }

  watch(listener: (hint: Hint) => void): () => void {
    // Of its own, so that a listener that is given twice is called twice, and stopped one at a time.
    const own = (hint: Hint): void => listener(hint)
    this.#listeners.add(own)
    if (this.#listeners.size === 1) this.#send(['watch', true])
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.#send(['watch', false])
    }
  }

  close(): Promise<void> {
    this.#end('the engine is closed')
    return Promise.resolve()
  }

  #call<Result>(operation: Operation, ...args: readonly unknown[]): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      if (this.#closed) throw new Error('the engine is closed')
      if (this.#waiting.size >= this.#waitingMax) {
        throw new Error(`${this.#waitingMax} operations wait for the primary process already`)
      }
      const id = ++this.#count
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject })
      this.#send([id, operation, ...args])
    })
  }

  #send(item: ToPrimary): void {
    if (!this.#closed) this.#batch.add(item)
  }

  #take(items: readonly ToWorker[]): void {
    for (const item of items) {
      if (item[0] === 'hint') {
        for (const listener of this.#listeners) listener(item[1])
        continue
      }
      const [id, kind, value] = item
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (kind === 'ok') waiting?.resolve(restored(value))
      else waiting?.reject(decodeError(value))
    }
  }

  #end(reason: string): void {
    this.#closed = true
    for (const stop of this.#stops.splice(0)) stop()
    this.#listeners.clear()
    for (const { reject } of this.#waiting.values()) reject(new Error(reason))
    this.#waiting.clear()
  }
}
