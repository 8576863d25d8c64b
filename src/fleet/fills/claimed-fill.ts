import { FillError, type Produce } from '../../streamcache/index.js'
import type { Metrics } from '../../telemetry/metrics.js'
import type { FillOutcome, FleetEntry } from '../engine.js'
import { PeerRefused, type FaultCodec, type PeerAnswer, type Peers } from '../peers/peer.js'
import type { Borrow, Claimed, Claims, Decision } from './claims.js'
import type { Election } from './election.js'
import { FillFailedElsewhere } from '../fill-failed-elsewhere.js'
import type { HeldLease } from './held-lease.js'
import { PassedBytes } from './passed-bytes.js'
import type { SharedFill, SharedFillEnd, SharedFillRequest } from './shared-fill.js'

export interface ClaimedFillOptions {
  readonly claims: Claims
  readonly peers: Peers
  /** This node. */
  readonly node: string
  readonly filesAreShared: boolean
  readonly encode: FaultCodec['encode']
  readonly metrics: Pick<Metrics, 'fleetBorrowed'>
  /** Begins the claims of this fill. */
  readonly elect: (claimed: Claimed) => Election
  /** Is this node about to end? Then no fill begins here for another node. */
  readonly isRetired: () => boolean
}

/** What another node answers. */
interface BorrowedBytes {
  readonly body: AsyncIterable<Buffer>
  readonly notes: () => ReturnType<PeerAnswer['notes']>
}

/**
 * One fill of this node. Each run of its producer begins with a decision: it runs here, under a lease if there is one, or
 * follows another node, until that breaks and it decides again. All errors but those of a run here are final for the engine
 * of entries: whether another node is to be tried was decided here.
 */
export class ClaimedFill implements SharedFill {
  readonly #request: SharedFillRequest
  readonly #claimed: Claimed
  readonly #options: ClaimedFillOptions
  /** What find() was told, until it is acted upon. */
  #found: Decision | undefined
  #lease: HeldLease | undefined
  #isBorrowed = false
  #isEnded = false

  constructor(request: SharedFillRequest, claimed: Claimed, options: ClaimedFillOptions) {
    this.#request = request
    this.#claimed = claimed
    this.#options = options
  }

  get isBorrowed(): boolean {
    return this.#isBorrowed
  }

  async find(): Promise<FleetEntry | undefined> {
    const { filesAreShared, elect, metrics } = this.#options
    if (!filesAreShared) return undefined
    const decision = this.#take(await elect(this.#claimed).first())
    this.#found = decision
    if (decision.kind !== 'borrow' || decision.entry?.path === undefined) return undefined
    metrics.fleetBorrowed.inc({ way: 'file' })
    return decision.entry
  }

  /** Notes a lease that a decision brings. @returns the decision */
  #take(decision: Decision): Decision {
    if (decision.kind !== 'run') return decision
    if (this.#lease && this.#lease !== decision.lease) this.#publish(this.#lease, { kind: 'nothing' })
    this.#lease = decision.lease
    if (this.#isEnded && decision.lease) this.#publish(decision.lease, { kind: 'nothing' })
    return decision
  }

  async *produce(signal: AbortSignal): AsyncGenerator<Produce> {
    const { fromPeer, repeatable, produce } = this.#request
    if (fromPeer && this.#options.isRetired()) throw final(new PeerRefused('elsewhere', retired))
    const election = this.#options.elect(this.#claimed)
    const passed = new PassedBytes(repeatable)
    let decision = await this.#begin(election)
    for (;;) {
      signal.throwIfAborted()
      if (decision.kind === 'failed') throw final(new FillFailedElsewhere(decision.failure, decision.leftMs))
      if (decision.kind === 'run') {
        this.#isBorrowed = false
        yield* passed.rest(produce(signal))
        return
      }
      if (fromPeer) throw final(new PeerRefused('elsewhere'))
      let hasBegun = false
      try {
        const borrowed = await this.#ask(decision, signal)
        hasBegun = true
        yield* passed.pass(borrowed.body)
        this.#borrowed(borrowed)
        return
      } catch (error) {
        signal.throwIfAborted()
        if (passed.length > 0 && !repeatable) throw final(error)
        decision = this.#take(await election.again(decision, error, hasBegun, signal).catch(rethrowFinal))
      }
    }
  }

  /** Decides for the first run, or for one after a run here has failed, whose lease may be held yet. */
  async #begin(election: Election): Promise<Decision> {
    const found = this.#found
    this.#found = undefined
    if (found) return found
    if (this.#lease && !this.#lease.isLost) return { kind: 'run', lease: this.#lease }
    return this.#take(await election.first())
  }

  /** Asks the node that makes the bytes. @throws what `Peers.ask` throws */
  async #ask({ node }: Borrow, signal: AbortSignal): Promise<BorrowedBytes> {
    this.#isBorrowed = true
    const answer = await this.#options.peers.ask(node, this.#request.question, { signal })
    const { body } = answer
    if (body === 'unchanged') throw new Error(`the node ${node} has answered a question without bytes`)
    return { body, notes: () => answer.notes() }
  }

  #borrowed({ notes }: BorrowedBytes): void {
    this.#options.metrics.fleetBorrowed.inc({ way: 'peer' })
    this.#request.borrowed?.(notes())
  }

  ended(end: SharedFillEnd): void {
    if (this.#isEnded) return
    this.#isEnded = true
    if (this.#lease) this.#publish(this.#lease, this.#outcomeOf(end))
  }

  #publish(lease: HeldLease, outcome: FillOutcome): void {
    this.#options.claims.publish(this.#claimed, lease, outcome)
  }

  #outcomeOf(end: SharedFillEnd): FillOutcome {
    const { state } = this.#claimed
    if (end.kind === 'entry' && state !== undefined) return { kind: 'entry', state, entry: end.entry }
    if (end.kind !== 'failure' || end.retryAfterMs <= 0) return { kind: 'nothing' }
    const { code, message } = this.#options.encode(end.error)
    const failure = { state, attempt: end.attempt, code, message }
    return { kind: 'failure', failure, ttlMs: end.retryAfterMs }
  }
}

/** Why a node that is about to end begins no fills for others. */
export const retired = 'the node is about to end'

/** Makes an error final: the engine of entries does not run the producer again after it. */
function final(cause: unknown): FillError {
  if (cause instanceof FillError) return cause
  return new FillError('producer', cause instanceof Error ? cause.message : String(cause), { cause })
}

function rethrowFinal(error: unknown): never {
  throw final(error)
}
