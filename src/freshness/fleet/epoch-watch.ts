import type { FleetEngine } from '../../fleet/engine.js'
import type { Clock } from '../../limits/clock.js'
import { heldLeaseMs, renewalIntervalMs } from '../leases/lease-renewal.js'
import type { LeaseStatus } from '../leases/lease.js'
import { EpochReads } from './epoch-reads.js'
import type { KnownEpoch } from './known-epoch.js'
import { KnownEpochs } from './known-epochs.js'

export interface EpochWatchOptions {
  readonly engine: Pick<FleetEngine, 'epochs' | 'watch'>
  readonly clock: Clock
  /** Returns the engine's name of a subject. */
  readonly repositoryOf: (subject: string) => string
  /** What the engine must be told before it is asked. Rejects if it cannot be. */
  readonly beforeRead: () => Promise<void>
  /** A repository may have changed. */
  readonly changed: (subject: string) => void
  /** The engine has lost what it knew of a repository. */
  readonly lost: (repository: string) => void
}

/** Most repositories in one call of the engine. */
const batchMax = 1000
/** Milliseconds after which a repository that is asked for is read again, in case hints were lost. */
const netMs = 10_000
/** Milliseconds for which such repositories are gathered. */
const netDelayMs = 1000
/** Milliseconds after which all nodes have renewed the leases that they hold, and so entered anew what the engine has lost. */
const enteredAnewMs = renewalIntervalMs(heldLeaseMs) + 5000

/** Knows the epochs of repositories: asks the engine, listens to its hints, and reports changes, once each. */
export class EpochWatch {
  readonly #options: EpochWatchOptions
  readonly #known: KnownEpochs
  readonly #reads: EpochReads
  readonly #unwatch: () => void
  /** Repositories that are due to be read. */
  readonly #due = new Set<string>()
  #cancelNet: (() => void) | undefined

  constructor(options: EpochWatchOptions) {
    this.#options = options
    this.#known = new KnownEpochs(options.repositoryOf)
    this.#reads = new EpochReads((repositories, number) => this.#read(repositories, number))
    this.#unwatch = options.engine.watch((hint) => {
      if (hint.kind === 'epoch' && this.#known.find(hint.repository)) void this.read(hint.repository)
    })
  }

  of(subject: string): KnownEpoch {
    return this.#known.of(subject)
  }

  find(repository: string): KnownEpoch | undefined {
    return this.#known.find(repository)
  }

  /** As in `MutatorLeases`. */
  refresh(subject: string, once: boolean): Promise<void> | undefined {
    const known = this.#known.of(subject)
    if (once && known.triedAtMs > -Infinity) return undefined
    this.#known.touch(known)
    return this.read(known.repository)
  }

  statusOf(subject: string): LeaseStatus {
    const known = this.#known.of(subject)
    const now = this.#options.clock.now()
    if (known.triedAtMs + netMs < now) this.#readLater(known.repository)
    const { status } = known
    return now < known.distrustedUntilMs ? { ...status, open: status.open + 1 } : status
  }

  /** Resolves at the end of a read of the engine that begins after this call. @param repository left out: of none */
  read(repository?: string): Promise<void> {
    return this.#reads.request(repository)
  }

  /** Asks for the engine's count before it counts what nodes have told each other. @throws if the engine is away */
  async readBase(repository: string): Promise<void> {
    const [epoch] = await this.#options.engine.epochs([repository])
    if (epoch) this.#known.find(repository)?.setBase(epoch)
  }

  /** Counts a change that the engine may not know of. */
  change(repository: string): void {
    const known = this.#known.find(repository)
    if (!known) return
    known.change(this.#reads.begun)
    this.#options.changed(known.subject)
  }

  /** Counts a lease that the engine may not know of. */
  opened(subject: string, repository: string): void {
    const known = this.#known.find(repository) ?? this.#known.of(subject)
    if (known.repository === repository) known.opened(this.#reads.begun)
  }

  /** Such a lease has ended, or the engine knows of it now. */
  closed(repository: string): void {
    this.#known.find(repository)?.closed()
  }

  close(): void {
    this.#unwatch()
    this.#cancelNet?.()
  }

  #readLater(repository: string): void {
    this.#due.add(repository)
    this.#cancelNet ??= this.#options.clock.after(netDelayMs, () => {
      this.#cancelNet = undefined
      for (const due of this.#due) void this.read(due)
      this.#due.clear()
    })
  }

  /** Never rejects. */
  async #read(repositories: readonly string[], number: number): Promise<void> {
    const { engine, beforeRead } = this.#options
    let left = repositories
    try {
      await beforeRead()
      while (left.length > 0) {
        const asked = left.slice(0, batchMax)
        const epochs = await engine.epochs(asked)
        asked.forEach((repository, index) => this.#take(repository, epochs[index]!, number))
        left = left.slice(batchMax)
      }
    } catch {
      for (const repository of left) {
        const known = this.#known.find(repository)
        known?.failed()
        if (known) known.triedAtMs = this.#options.clock.now()
      }
    }
  }

  #take(repository: string, epoch: Parameters<KnownEpoch['read']>[0], number: number): void {
    const known = this.#known.find(repository)
    if (!known) return
    const { clock, changed, lost } = this.#options
    known.triedAtMs = clock.now()
    const found = known.read(epoch, number)
    if (found === 'lost') {
      known.distrustedUntilMs = clock.now() + enteredAnewMs
      lost(repository)
    }
    if (found !== 'same') changed(known.subject)
  }
}
