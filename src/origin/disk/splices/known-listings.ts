import { LRUCache } from 'lru-cache'
import type { RefDetails } from '../../../git/state/ref-details.js'
import type { FullReason } from '../../../git/state/ref-changes/full-reason.js'
import { KnownRefs, type KnownRefsOptions } from '../../../git/state/ref-changes/known-refs.js'
import { changedInTables } from '../../../git/state/reftable/changed-in-tables.js'
import { createSymrefMemory, symrefNames } from '../../../git/state/reftable/symref-names.js'
import type { Repository } from '../../../git/state/repository.js'
import { descriptorLimit, heldOpenWithin } from '../../../limits/file-descriptors.js'
import { ConcurrencyLimit } from '../../../limits/queue/concurrency-limit.js'
import type { Entry } from '../../../streamcache/index.js'
import { LeasedRefs } from '../observation/leased-refs.js'

/** A committed listing, and what was observed of the refs in its state. */
export interface KnownListing {
  readonly entry: Entry
  /** As in `ObservedState`. */
  readonly generation: number
  /** Finds what has changed since; or why it cannot. LeasedRefs: a later observation tells that by the generation. */
  readonly refs: Promise<KnownRefs | Unknown> | LeasedRefs
}

/** Why it cannot be found out what has changed. `unknown`: the state is not remembered any more. */
interface Unknown {
  readonly full: FullReason['full'] | 'unknown'
}

interface Noted extends KnownListing {
  /** Has what has not begun to be remembered not be remembered at all. */
  readonly cancel: () => void
}

/** Memory for the names of symbolic refs in reftables. */
const symrefMemoryBytes = 8 * 1024 * 1024
/** States that are remembered at once. Each needs some descriptors for that, and may read reftables to their ends. */
const rememberedAtOnce = 8

/** What the listings that were committed last were made of, by key. LRU. */
export class KnownListings {
  readonly #known = new LRUCache<string, Noted>({
    // Each may hold a file open.
    max: heldOpenWithin(descriptorLimit()),
    dispose: ({ refs, cancel }) => {
      cancel()
      if (!(refs instanceof LeasedRefs)) void refs.then(close)
    },
  })
  readonly #limit = new ConcurrencyLimit(rememberedAtOnce)
  readonly #options: KnownRefsOptions
  readonly #remember: typeof KnownRefs.remember
  /** Entries that were noted once: one that was dropped to make room is not noted again at each request. */
  readonly #noted = new WeakSet<Entry>()

  constructor(
    options: Pick<KnownRefsOptions, 'guard' | 'mayHoldOn'> = {},
    remember: typeof KnownRefs.remember = (...asked) => KnownRefs.remember(...asked),
  ) {
    this.#remember = remember
    const symrefs = createSymrefMemory(symrefMemoryBytes)
    this.#options = {
      ...options,
      tables: {
        symrefNames: (directory, tables, signal) => symrefNames(directory, tables, signal, symrefs),
        changedInTables,
      },
    }
  }

  get(key: string): KnownListing | undefined {
    return this.#known.get(key)
  }

  /** Notes the state that a committed entry stands for. Has no effect when repeated. */
  note(entry: Entry, generation: number, repository: Repository, details: RefDetails | LeasedRefs): void {
    if (this.#noted.has(entry)) return
    this.#noted.add(entry)
    const noted = details instanceof LeasedRefs ? leased(details) : this.#submit(repository, details)
    this.#known.set(entry.key, { entry, generation, ...noted })
  }

  #submit(repository: Repository, details: RefDetails): Pick<Noted, 'refs' | 'cancel'> {
    const { result, cancel } = this.#limit.submit(() => this.#remember(repository, details, this.#options))
    const refs = result.then(
      (known): KnownRefs | Unknown => known ?? { full: 'unknown' },
      (): Unknown => ({ full: 'unreadable' }),
    )
    return { refs, cancel }
  }

  forget(key: string): void {
    this.#known.delete(key)
  }

  /** Closes the files that are held open. */
  close(): void {
    this.#known.clear()
  }
}

function close(refs: KnownRefs | Unknown): void {
  if (refs instanceof KnownRefs) refs.close()
}

/** Nothing of such a state is read ahead. */
const leased = (refs: LeasedRefs): Pick<Noted, 'refs' | 'cancel'> => ({ refs, cancel: () => {} })
