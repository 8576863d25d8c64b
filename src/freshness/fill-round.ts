import type { Entry } from '../streamcache/index.js'
import type { PendingFillRequest } from './fill-request.js'
import type { ObservedState } from './observed-state.js'

/** A round of a key: one observation and at most one fill. A key has one round at a time. */
export interface FillRound {
  /** undefined while the round still observes the state that it will fill for. */
  entry?: Entry
  /** Resolves when it is known whether another process has made the entry; undefined: that is not being looked for. */
  finding?: Promise<void> | undefined
  /** Resolves `finding`; called once the round has its entry, or ends without one. */
  decided?: (() => void) | undefined
  /** The requests that share the next round. */
  gathering?: Gathering
  /** The fill's entry must not be kept, even if it is being committed at this moment. */
  forgotten?: boolean
}

/** How a round begins: the state that it observed, and the entry of the fill that it started, if it needed one. */
export interface RoundStart {
  readonly state: ObservedState
  readonly entry: Entry | undefined
}

/** The requests that wait for the next round of a key. */
export interface Gathering {
  /** The first of these requests that is a client's, if any is. The round observes and fills by it, on behalf of all. */
  request: PendingFillRequest
  readonly start: Promise<RoundStart>
  readonly resolve: (start: Promise<RoundStart>) => void
}

/** Adds a request to a gathering, or to a new one, whose `start` is pending. */
export function gather(request: PendingFillRequest, gathering?: Gathering): Gathering {
  if (gathering) {
    if (gathering.request.isForPeer && !request.isForPeer) gathering.request = request
    return gathering
  }
  let resolve!: Gathering['resolve']
  const start = new Promise<RoundStart>((settled) => (resolve = settled))
  return { request, start, resolve }
}

/** Has those go on that wait for whether the entry is found. */
export function decide(round: FillRound): void {
  round.finding = undefined
  round.decided?.()
}
