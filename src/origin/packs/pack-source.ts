import type { PeerQuestion } from '../../fleet/peers/peer.js'
import type { FetchRequest } from '../../git/protocol/fetch-request.js'
import type { Target } from '../target.js'
import type { PassedReason } from '../pack-answer.js'

/** What the run that makes a pack is told, and what it tells. */
export interface PackRun {
  readonly signal: AbortSignal
  /** Does an admitted client wait for it, which must not be shed? */
  readonly admitted: boolean
  /** Called before the stream ends without an error: does it end as a pack should, without an error message in it? */
  readonly ended: (sound: boolean) => void
  /** Called once when the run is over, with the CPU seconds that it took here if they are known. */
  readonly finished: (cpuSeconds: number | undefined) => void
}

/** What an answer to a fetch depends on at one moment, and how to make it. */
export interface PackState {
  /** The repository: what its packs are forgotten by. */
  readonly repository: string
  /** Names all that the answer depends on: equal names, equal answers. Without a space. */
  readonly name: string
  /** As in `ObservedState`. */
  readonly unsettledMs: number
  readonly maxAgeMs: number
  /** Makes the answer. @throws PackRefused, or the origin's error; see `Producer` */
  make(run: PackRun): AsyncIterable<Buffer>
  /** Resolves with whether the name still holds, after the answer was made. */
  holds(): Promise<boolean>
  /** Returns how other nodes of a fleet know the answer. */
  shared(): SharedPack
}

/** An answer to a fetch by names that are the same on all nodes of a fleet. */
export interface SharedPack {
  readonly repository: string
  readonly key: string
  /** Tells whether the repository is the same on two nodes. */
  readonly identity: string
  /** By which another node can answer. @param admitted was the client admitted, so that it must not be shed? */
  readonly question: (admitted: boolean) => PeerQuestion
}

/** Where packs come from. */
export interface PackSource {
  /**
   * Resolves with what the answer depends on now, or why the request must pass through.
   * @param isForPeer is it the request of another node, which has checked access?
   * @throws RepositoryNotFound, RepositoryExchanged, ServiceDisabled, FilesystemUnanswered, BackingOff, Overloaded
   */
  stateOf(target: Target, asked: FetchRequest, isForPeer?: boolean): Promise<PackState | PassedReason>
}
