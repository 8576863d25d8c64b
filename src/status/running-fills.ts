/**
 * `waiting`: for a permit, or for its first sign of life; `begun`: its producer lives and has made no byte yet; `streaming`;
 * `committing`: all bytes are there.
 */
export type FillPhase = 'waiting' | 'begun' | 'streaming' | 'committing'

/** What makes the bytes of a fill. */
export type FillProducer = 'git' | 'upstream' | 'peer'

/** What can be read of an entry that grows, at any time. */
export interface GrowingEntry {
  readonly key: string
  /** Bytes so far. */
  readonly length: number
  /** Total length in bytes, once the producer has ended. */
  readonly size: number | undefined
  readonly begun: boolean
  readonly followers: number
}

export interface RunningFill {
  /** Unique among the fills of its process. */
  readonly id: number
  readonly kind: string
  readonly key: string
  readonly producer: FillProducer
  readonly phase: FillPhase
  readonly ageMs: number
  readonly bytes: number
  readonly followers: number
}

interface Begun {
  readonly id: number
  readonly kind: string
  readonly producer: () => FillProducer
  readonly entry: GrowingEntry
  readonly atMs: number
}

/** The fills under way. Nothing is computed until they are asked for. */
export class RunningFills {
  readonly #fills = new Set<Begun>()
  #count = 0

  /** Adds a fill. @param producer tells what makes its bytes, as far as is known @returns removes it */
  add(kind: string, producer: () => FillProducer, entry: GrowingEntry): () => void {
    const begun = { id: ++this.#count, kind, producer, entry, atMs: performance.now() }
    this.#fills.add(begun)
    return () => this.#fills.delete(begun)
  }

  get size(): number {
    return this.#fills.size
  }

  /** Returns the oldest fills. */
  list(most: number): RunningFill[] {
    const now = performance.now()
    const found: RunningFill[] = []
    for (const { id, kind, producer, entry, atMs } of this.#fills) {
      if (found.length >= most) break
      const { key, length: bytes, followers } = entry
      found.push({
        ...{ id, kind, key, producer: producer(), phase: phaseOf(entry) },
        ...{ ageMs: now - atMs, bytes, followers },
      })
    }
    return found
  }
}

function phaseOf({ size, length, begun }: GrowingEntry): FillPhase {
  if (size !== undefined) return 'committing'
  if (length > 0) return 'streaming'
  return begun ? 'begun' : 'waiting'
}
