import { LRUCache } from 'lru-cache'

/** The last changes of a repository, all of which are named. */
interface NamedRun {
  /** The count of changes before the first of them. */
  from: number
  /** What each of them has changed. */
  readonly changes: (readonly string[])[]
  names: number
}

/** Most changes, and most names in all of them, that are remembered of a repository. */
const changesMax = 1000
const namesMax = 1000

/** Memory for the names of all repositories, in bytes, about. */
const bytesMax = 16 * 1024 * 1024

/** Bytes of memory that a name, a change and a repository take besides their characters, about. */
const overhead = 64

/**
 * What the last changes of each repository have changed, as far as their leases have named it. A change that names nothing may
 * have changed everything: what was remembered before it is of no more use. LRU, by memory.
 */
export class NamedChanges {
  readonly #runs = new LRUCache<string, NamedRun>({ maxSize: bytesMax, sizeCalculation: sizeOf })

  /** Takes note of a change. @param count of the repository's changes, with this one @param names undefined: not told */
  add(repository: string, count: number, names: readonly string[] | undefined): void {
    if (!names || names.length > namesMax) {
      this.#runs.delete(repository)
      return
    }
    const known = this.#runs.get(repository)
    const run = known && endOf(known) === count - 1 ? known : { from: count - 1, changes: [], names: 0 }
    run.changes.push(names)
    run.names += names.length
    while (run.names > namesMax || run.changes.length > changesMax) {
      run.names -= run.changes.shift()?.length ?? 0
      run.from++
    }
    // Anew, so that its size is counted.
    this.#runs.delete(repository)
    this.#runs.set(repository, run)
  }

  /**
   * Returns the names of all that was changed after a number of changes.
   * @param count of the repository's changes so far
   * @returns undefined: not all of these changes were named, or they are not remembered
   */
  since(repository: string, before: number, count: number): readonly string[] | undefined {
    if (before === count) return []
    const run = this.#runs.get(repository)
    if (!run || before < run.from || before > count || endOf(run) !== count) return undefined
    return [...new Set(run.changes.slice(before - run.from).flat())]
  }
}

const endOf = ({ from, changes }: NamedRun): number => from + changes.length

function sizeOf({ changes }: NamedRun, repository: string): number {
  let bytes = overhead + repository.length
  for (const names of changes) for (const name of names) bytes += overhead + name.length
  return bytes + changes.length * overhead
}
