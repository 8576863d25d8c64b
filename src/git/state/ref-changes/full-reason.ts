/** Why all refs must be listed, because what has changed cannot be told: the label of a metric. */
export interface FullReason {
  readonly full: 'configuration' | 'head' | 'links' | 'candidates' | 'packed-refs' | 'reftable' | 'unreadable'
}

/** Ends a search for changes, where it is found that they cannot be told. */
export class FullNeeded extends Error implements FullReason {
  override readonly name = 'FullNeeded'
  readonly full: FullReason['full']

  constructor(full: FullReason['full']) {
    super(`the changes of refs cannot be told: ${full}`)
    this.full = full
  }
}
