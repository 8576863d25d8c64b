import { randomBytes } from 'node:crypto'
import { KnownEpoch, type LeastCounts } from './known-epoch.js'

/** Most repositories of which counts are kept. */
const knownMax = 50_000

/** What is known of the epochs of repositories, by their subjects here and by the engine's names of them. */
export class KnownEpochs {
  readonly #repositoryOf: (subject: string) => string
  readonly #bySubject = new Map<string, KnownEpoch>()
  readonly #byRepository = new Map<string, KnownEpoch>()
  readonly #processId = randomBytes(16).toString('base64url')
  #least: LeastCounts = { generation: 0, openings: 0 }

  constructor(repositoryOf: (subject: string) => string) {
    this.#repositoryOf = repositoryOf
  }

  /** Returns what is known of a subject, from now on. */
  of(subject: string): KnownEpoch {
    const found = this.#bySubject.get(subject)
    if (found) return found
    const known = new KnownEpoch(subject, this.#repositoryOf(subject), this.#processId, this.#least)
    this.#bySubject.set(subject, known)
    this.#byRepository.set(known.repository, known)
    if (this.#bySubject.size > knownMax) this.#giveUpOldest()
    return known
  }

  /** Returns what is known of a repository, if anything is. */
  find(repository: string): KnownEpoch | undefined {
    return this.#byRepository.get(repository)
  }

  /** Marks it as one that was used last. */
  touch(known: KnownEpoch): void {
    if (!this.#bySubject.delete(known.subject)) return
    this.#bySubject.set(known.subject, known)
  }

  #giveUpOldest(): void {
    for (const [subject, known] of this.#bySubject) {
      if (!known.isIdle) continue
      this.#bySubject.delete(subject)
      if (this.#byRepository.get(known.repository) === known) this.#byRepository.delete(known.repository)
      const { generation, openings } = known.successor
      this.#least = {
        generation: Math.max(this.#least.generation, generation),
        openings: Math.max(this.#least.openings, openings),
      }
      return
    }
  }
}
