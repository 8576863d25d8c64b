import { join } from 'node:path'
import { Claim } from './claim.js'

const maxInstances = 64

/**
 * One process's own part of a cache directory: `instance-0/`, `instance-1/` …, the first that no other process holds. So a
 * restarted process finds its old entries, and a second process on the same directory gets a part of its own.
 */
export class InstanceDirectory {
  readonly number: number
  readonly directory: string
  readonly #claim: Claim

  private constructor(number: number, directory: string, claim: Claim) {
    this.number = number
    this.directory = directory
    this.#claim = claim
  }

  /**
   * Acquires the first free instance directory.
   * @throws if none can be acquired: the cache directory cannot be used, or 64 processes use it
   */
  static async acquire(cacheDirectory: string): Promise<InstanceDirectory> {
    for (let number = 0; number < maxInstances; number++) {
      const directory = join(cacheDirectory, `instance-${number}`)
      const claim = await Claim.make(join(directory, 'claims'))
      let won = false
      try {
        won = await claim.wins()
      } finally {
        if (!won) await claim.withdraw()
      }
      if (won) return new InstanceDirectory(number, directory, claim)
    }
    throw new Error(`${maxInstances} processes use ${cacheDirectory}`)
  }

  /** Does its claim still exist? If the directory was removed, another process may hold this number now. */
  isHeld(): Promise<boolean> {
    return this.#claim.exists()
  }

  /** Releases it for the next process. */
  release(): Promise<void> {
    return this.#claim.withdraw()
  }
}
