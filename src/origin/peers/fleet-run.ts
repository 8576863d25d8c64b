import { FillFailedElsewhere } from '../../fleet/fill-failed-elsewhere.js'
import type { FleetFills, SharedFill, SharedFillEnd } from '../../fleet/fills/shared-fill.js'
import { PeerRefused, type PeerQuestion } from '../../fleet/peers/peer.js'
import { FillError, type Produce, type RevisingProducer } from '../../streamcache/index.js'
import { BackingOff, FailedElsewhere } from '../faults/errors.js'

/** What the run of a fill needs to be shared with other nodes. */
export interface FleetRunRequest {
  /** The repository and what is asked about it, by names that are the same on all nodes. */
  readonly repository: string
  readonly key: string
  /** Names the state that the fill is for, as `Claim.state`. */
  readonly state: string | undefined
  readonly question: PeerQuestion
  /** Is it the request of another node? */
  readonly isForPeer: boolean
  readonly repeatable: boolean
  /** As `SharedFillRequest.isRepaired`. */
  readonly isRepaired?: boolean
  /** Makes the bytes here. */
  readonly produce: RevisingProducer
  /** Called after the end of bytes that another node has made, with what it said of them. */
  readonly borrowed?: (notes: Readonly<Record<string, unknown>>) => void
}

/** One fill of an origin, which runs here or at another node of the fleet. */
export class FleetRun {
  readonly #fills: Pick<FleetFills, 'share'>
  readonly #request: FleetRunRequest
  #shared: SharedFill
  /** Does a client here wait for it? */
  #isWanted: boolean
  /** Has it ended because a third node makes the bytes, while no client here waited for it? */
  #isRefused = false
  /** Does it run here, as far as is known? */
  #runsHere = false
  /** What the other node said of the age of its bytes, once they have ended. */
  #borrowedAgeMs: number | undefined

  constructor(fills: Pick<FleetFills, 'share'>, request: FleetRunRequest) {
    this.#fills = fills
    this.#request = request
    this.#isWanted = !request.isForPeer
    this.#shared = this.#share(request.isForPeer)
  }

  #share(fromPeer: boolean): SharedFill {
    const { repository, key, state, question, repeatable, isRepaired = false } = this.#request
    return this.#fills.share({
      ...{ repository, key, state, question, fromPeer, repeatable, isRepaired },
      produce: (signal) => {
        this.#runsHere = true
        return this.#request.produce(signal)
      },
      borrowed: (notes) => {
        const { ageMs } = notes
        this.#borrowedAgeMs = typeof ageMs === 'number' && ageMs >= 0 ? ageMs : undefined
        this.#request.borrowed?.(notes)
      },
    })
  }

  /** Does another node make its bytes, as far as is known? */
  get isBorrowed(): boolean {
    return this.#shared.isBorrowed
  }

  /**
   * Notes that a request is about to wait for it. false: it has just been refused, since only another node had asked for it.
   * @throws PeerRefused if that is another node's, and a third node makes the bytes
   */
  mayWaitFor(isForPeer: boolean): boolean {
    if (!isForPeer) this.#isWanted = true
    else if (this.#shared.isBorrowed) throw new PeerRefused('elsewhere')
    return isForPeer || !this.#isRefused
  }

  find(): ReturnType<SharedFill['find']> {
    return this.#shared.find()
  }

  /** As `FillRequest.ageMs`. @param maxAgeMs of the state: other nodes answer from entries of at most half that age */
  ageMs(maxAgeMs: number): number {
    if (maxAgeMs === Infinity || (this.#runsHere && !this.#shared.isBorrowed)) return 0
    // Until the end is known, it counts as the oldest that is possible.
    return this.#borrowedAgeMs ?? maxAgeMs / 2
  }

  /** The producer. @throws BackingOff if the fleet has failed to make it, and may not try again yet */
  async *produce(signal: AbortSignal): AsyncGenerator<Produce> {
    this.#runsHere = false
    this.#borrowedAgeMs = undefined
    try {
      yield* this.#shared.produce(signal)
    } catch (error) {
      const isRefused = this.#request.isForPeer && causeOf(error) instanceof PeerRefused
      if (!isRefused || !this.#isWanted) {
        this.#isRefused = isRefused
        throw this.#meantHere(error)
      }
      // Begun for another node, which gets it elsewhere: a client that has joined meanwhile is not refused with it.
      this.#shared.ended({ kind: 'nothing' })
      this.#shared = this.#share(false)
      yield* this.#again(signal)
    }
  }

  async *#again(signal: AbortSignal): AsyncGenerator<Produce> {
    try {
      yield* this.#shared.produce(signal)
    } catch (error) {
      throw this.#meantHere(error)
    }
  }

  /** Returns what an error means here. */
  #meantHere(error: unknown): unknown {
    const isElsewhere = !this.#runsHere && error instanceof FillError && error.cause === undefined
    if (!isElsewhere) return translated(error)
    return new FillError(error.fault, error.message, { cause: new FailedElsewhere(error.message) })
  }

  ended(end: SharedFillEnd): void {
    this.#shared.ended(end)
  }
}

const causeOf = (error: unknown): unknown => (error instanceof FillError ? error.cause : error)

/** Returns BackingOff for `FillFailedElsewhere`: a failure that is in force in the whole fleet. */
export function translated(error: unknown): unknown {
  const cause = causeOf(error)
  if (!(cause instanceof FillFailedElsewhere)) return error
  return new BackingOff(cause.retryAfterMs, cause, cause.attempt)
}
