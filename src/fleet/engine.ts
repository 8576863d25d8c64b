/**
 * What a fleet needs from the store that its nodes share: fill leases with fencing tokens, what came of fills, and each
 * repository's epoch, which mutator leases and invalidations advance. Everything here makes a fleet cheap; nothing makes it
 * right or wrong (R11): bytes are checked by those who serve them.
 *
 * Repositories and keys are opaque names of 1 to 64 characters of A-Z, a-z, 0-9, `-` and `_` (digests); all that concerns
 * one repository changes atomically. Times are durations in milliseconds by the engine's clock: no two clocks are compared.
 * Each method rejects if the engine cannot be asked or does not know its answer; then the caller is alone.
 */
export interface FleetEngine {
  /**
   * Claims the fill lease of a key, in this order: a failure that is in force for the same state; a published entry of the
   * same state; a lease that another node holds; else the lease is granted, also if the same node holds it.
   */
  claim(claim: Claim): Promise<ClaimAnswer>

  /** Extends a fill lease to its whole time limit from now; false: it is lost. */
  renew(held: HeldClaim): Promise<boolean>

  /** Ends a fill lease and records what came of the fill; false: the lease was lost, so nothing is recorded. */
  publish(held: HeldClaim, outcome: FillOutcome): Promise<boolean>

  /**
   * Returns the epochs of repositories, in the same order; expired mutator leases have ended. A record that is not understood
   * counts as one with an open lease (`unknownEpoch`), so that it concerns no other repository.
   */
  epochs(repositories: readonly string[]): Promise<Epoch[]>

  /** Records that a repository may have changed. */
  change(repository: string): Promise<void>

  /**
   * Opens a mutator lease. One that is open already, since an answer was lost, is extended to the time limit that is given now.
   * @param leftMs until it expires for the first time, if it was opened earlier than now; `lease.ttlMs` if left out
   * @throws TooManyFleetLeases
   */
  openLease(lease: NewFleetLease, leftMs?: number): Promise<void>

  /** Extends a mutator lease to `ttlMs` from now; left out: to its earlier time limit again. undefined: there is none. */
  renewLease(id: string, ttlMs?: number): Promise<FleetLease | undefined>

  /** Ends a mutator lease. undefined: there is none, perhaps because it has expired, which counted as a change. */
  endLease(id: string, end: 'changed' | 'unchanged'): Promise<FleetLease | undefined>

  /** Returns the open mutator leases, in any order. */
  leases(): Promise<FleetLease[]>

  /** Records that a node is alive for the next `ttlMs`, and returns the names of all that are. */
  beat(node: string, ttlMs: number): Promise<string[]>

  /** Records that a node is about to end: its fill leases end too. */
  leave(node: string): Promise<void>

  /**
   * Calls `listener` with hints: something has changed that others may wait for. Hints may be lost or repeated.
   * @returns stops it
   */
  watch(listener: (hint: Hint) => void): () => void

  /** Frees connections. Nothing may be called afterwards. */
  close(): Promise<void>
}

export interface Claim {
  readonly repository: string
  readonly key: string
  /** Names the state that was observed, the same on all nodes; undefined: it has no name, so that no entry of it is shared. */
  readonly state: string | undefined
  readonly node: string
  /** Time limit of the lease if it is granted. */
  readonly ttlMs: number
  /**
   * The fencing token of a lease whose holder was found dead, or of an entry that its node turned out not to have: that
   * record, and no other, does not count any more.
   */
  readonly rob?: string
}

export type ClaimAnswer =
  | { readonly kind: 'granted'; readonly token: string }
  /** @param leftMs until the lease's time limit */
  | { readonly kind: 'held'; readonly node: string; readonly token: string; readonly leftMs: number }
  /** `node` has made an entry of this state; `token` is that of its fill. */
  | { readonly kind: 'published'; readonly node: string; readonly token: string; readonly entry: FleetEntry }
  /** @param leftMs until the failure is no longer in force */
  | { readonly kind: 'failed'; readonly failure: FleetFailure; readonly leftMs: number }

/** A granted fill lease. */
export interface HeldClaim {
  readonly repository: string
  readonly key: string
  readonly node: string
  /** The fencing token: never given twice, not even by an engine that has lost its memory. */
  readonly token: string
  readonly ttlMs: number
}

/** What came of a fill. `nothing`: it succeeded and was not kept, or it tells nothing of its key (it was shed, say). */
export type FillOutcome =
  | { readonly kind: 'entry'; readonly state: string; readonly entry: FleetEntry }
  | { readonly kind: 'failure'; readonly failure: FleetFailure; readonly ttlMs: number }
  | { readonly kind: 'nothing' }

/** An entry that a node has committed. */
export interface FleetEntry {
  readonly length: number
  /** In hexadecimal; undefined: it is in memory only, and was not digested. */
  readonly sha256?: string
  /** Where its committed body is, if all nodes are on one host and may open it. */
  readonly path?: string
}

/** Why a fill has failed, for those who ask before another may be tried. Has no credentials and no names of refs in it. */
export interface FleetFailure {
  /** The state in which it failed; undefined: in whatever state. Failures in another state do not count. */
  readonly state: string | undefined
  /** Failures in a row. */
  readonly attempt: number
  readonly code: string
  readonly message: string
}

/** What mutator leases and invalidations tell of a repository. */
export interface Epoch {
  /**
   * Names the engine's memory of this repository: counts of different incarnations must not be compared. Repositories may
   * have different ones (those of a cluster are on different servers).
   */
  readonly incarnation: string
  /** Mutator leases open now. */
  readonly open: number
  /** Leases opened so far. */
  readonly openings: number
  /** Changes so far: leases that ended with one or expired, and invalidations. */
  readonly changes: number
}

/** The epoch of a repository whose record is not understood. */
export const unknownEpoch: Epoch = { incarnation: 'unknown', open: 1, openings: 0, changes: 0 }

export interface NewFleetLease {
  /** 128 random bits or more, which contain the repository's name if the engine's needs demand it: see `FleetLease.id`. */
  readonly id: string
  readonly repository: string
  /** What operators know the repository by. */
  readonly name: string
  readonly reason: string | undefined
  /** In milliseconds since 1970, for operators only. */
  readonly openedAtMs: number
  readonly ttlMs: number
}

export interface FleetLease extends NewFleetLease {
  /** Milliseconds until it expires. */
  readonly leftMs: number
}

/** Something may have changed. `key`: what a key's record says; `epoch`: a repository's epoch. */
export type Hint =
  | { readonly kind: 'key'; readonly repository: string; readonly key: string }
  | { readonly kind: 'epoch'; readonly repository: string }

/** The engine has answered with what this version does not understand: no sign that it is away. */
export class UnknownRecord extends Error {
  override readonly name = 'UnknownRecord'
}

/** The largest permitted number of mutator leases is open. */
export class TooManyFleetLeases extends Error {
  override readonly name = 'TooManyFleetLeases'
}

/** Most mutator leases open at once in a fleet. */
export const fleetLeasesMax = 10_000

/** Milliseconds for which an entry's record is kept after it was published, so that other nodes find it; about. */
export const publishedMs = 3_600_000

/** Returns the id of a new mutator lease: the repository, a dot, random characters. */
export const repositoryOfLease = (id: string): string | undefined =>
  /^([\w-]{1,64})\.[\w-]{22,}$/.exec(id)?.[1]
