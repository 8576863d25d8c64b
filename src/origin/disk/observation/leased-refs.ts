/**
 * What an observation in the mode `lease` knows of the refs, while no lease is open: nothing but what leases tell of their
 * changes. `details` of an ObservedState, where observations of the disk have `RefDetails`.
 */
export class LeasedRefs {
  /**
   * Returns the names of all refs that may have changed under leases from a generation up to this observation, and perhaps of
   * some that changed later: bytes as Latin-1. undefined: that cannot be told.
   */
  readonly changedSince: (generation: number) => readonly string[] | undefined

  constructor(changedSince: LeasedRefs['changedSince']) {
    this.changedSince = changedSince
  }
}
