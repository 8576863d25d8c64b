/** The engine of the fleet does not answer at present, and was not asked: the node is alone. */
export class EngineAway extends Error {
  override readonly name = 'EngineAway'

  /** @param cause why its last operation failed */
  constructor(cause: unknown) {
    super('the engine of the fleet does not answer', { cause })
  }
}

/** The engine has not answered in time: what was asked may have been done all the same. */
export class EngineSlow extends Error {
  override readonly name = 'EngineSlow'

  constructor(ms: number) {
    super(`the engine of the fleet has not answered within ${ms} ms`)
  }
}
