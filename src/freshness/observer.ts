import { randomUUID } from 'node:crypto'
import { createLookMemory, Look } from '../git/look.js'
import {
  lookAtRefs,
  lookAtRepository,
  type LookSettings,
  type RepositoryState,
  type SeenRefs,
} from '../git/ref-state.js'
import type { RepositoriesRoot } from '../git/repositories-root.js'
import {
  enterRepo,
  identityOf,
  type OpenRepository,
  type Refusal,
  type Repository,
} from '../git/repository.js'
import type { Sight } from './fresh-cache.js'
import type { Leases } from './leases.js'
import type { Modes } from './modes.js'
import { SharedLooks } from './shared-looks.js'

/** What is known of a repository at one moment: what the disk shows, under what leases say. */
export interface Observation extends Omit<RepositoryState, 'capabilities'> {
  /** Of all that decides the bytes of an advertisement or a ref listing. */
  readonly refs: Sight
  /** Of the part that decides a capability advertisement of protocol v2. */
  readonly capabilities: Sight
}

export interface ObserverOptions {
  readonly root: RepositoriesRoot
  /** What is known of the Git in use; looks wait for it. */
  readonly settings: Promise<LookSettings>
  readonly leases: Leases
  readonly modes: Modes
  /** Most directories under a repository's refs/ that a look may take in, unless the mode is configured. */
  readonly directoriesMax: number
  /** Most loose refs that a look checks one by one, for writers that do not replace but overwrite them. */
  readonly looseRefsMax: number
  /** May links under refs/ lead to all that is below the root? Otherwise only where access is checked for. */
  readonly linksAnywhere: boolean
  /** Milliseconds after which an entry is not fresh any more where leases alone decide, or not all loose refs are seen. */
  readonly unleasedMaxAgeMs: number
  readonly observed?: (result: 'settled' | 'unsettled' | 'leased' | 'missing') => void
  /** Told, by path, why something that is there is not served. */
  readonly refused?: (path: string, why: Refusal) => void
  /** Told that files are stamped so many milliseconds ahead of the clock, which was put back. */
  readonly clockBehind?: (ms: number) => void
}

/** Timestamps so many milliseconds ahead of the clock are worth a word. */
const clockBehindMs = 1000

/**
 * observe() of R2: names the state that a repository is in, by the mode that it is in.
 *
 * By `observe`, the token is a digest of what the disk shows; leases that have ended move the generation on, open ones
 * change nothing. By `lease`, the disk tells only how the repository is configured, and its refs' state is named by the
 * leases: it is unsettled while one is open, and its end moves the generation on. Part of the token there is a name
 * made at start, since leases may have come and gone while nobody listened; and no entry answers for longer than
 * `unleasedMaxAgeMs`, a net under changes that nobody took a lease for.
 *
 * What leases say is read in one piece after the disk has been looked at. An open lease is thus seen by every look that
 * begins after it was opened; and a change under a lease that ended before this moment came before any fill that
 * follows this look.
 */
export class Observer {
  readonly #options: ObserverOptions
  readonly #memory = createLookMemory()
  readonly #looks: SharedLooks<Observation | undefined>
  readonly #start = randomUUID()

  constructor(options: ObserverOptions) {
    this.#options = options
    this.#looks = new SharedLooks((path) => this.#look(path))
  }

  /** What is known now of the repository that a path means, shared by all who ask meanwhile; undefined: there is none. */
  observe(path: string): Promise<Observation | undefined> {
    return this.#looks.observe(path)
  }

  /** The repository that a path means. */
  find(path: string): Repository | undefined {
    const opened = this.#open(new Look(this.#memory), path)
    opened?.close()
    return opened?.repository
  }

  #open(look: Look, path: string): OpenRepository | undefined {
    const { root, refused } = this.#options
    return enterRepo(look, root, path, (why) => refused?.(path, why))
  }

  async #look(path: string): Promise<Observation | undefined> {
    const settings = await this.#options.settings
    const look = new Look(this.#memory)
    const opened = this.#open(look, path)
    try {
      const observation = opened && (await this.#lookInto(look, settings, opened, path))
      if (look.aheadMs > clockBehindMs) this.#options.clockBehind?.(look.aheadMs)
      if (!observation) this.#options.observed?.('missing')
      return observation
    } finally {
      opened?.close()
    }
  }

  async #lookInto(
    look: Look,
    settings: LookSettings,
    opened: OpenRepository,
    path: string,
  ): Promise<Observation | undefined> {
    const { observed, unleasedMaxAgeMs } = this.#options
    const state = lookAtRepository(look, settings, opened)
    const refs = await this.#lookAtRefs(look, opened, state)
    if (refs === 'outside') {
      this.#options.refused?.(path, refs)
      return undefined
    }
    const { open, openings, changes } = this.#options.leases.of(state.repository.commonDir)
    const ofDisk = {
      generation: changes,
      openings: 0,
      maxAgeMs: Infinity,
      subject: identityOf(state.repository),
    }
    const capabilities: Sight = { ...state.capabilities, ...ofDisk }
    if (refs) {
      const { token, unsettledMs, allLoose } = refs
      observed?.(unsettledMs > 0 ? 'unsettled' : 'settled')
      const maxAgeMs = allLoose ? Infinity : unleasedMaxAgeMs
      return { ...state, capabilities, refs: { ...ofDisk, token, unsettledMs, maxAgeMs } }
    }
    const { token, unsettledMs } = state.capabilities
    observed?.(open > 0 ? 'leased' : unsettledMs > 0 ? 'unsettled' : 'settled')
    const named: Sight = {
      token: `${token} ${this.#start}`,
      unsettledMs: open > 0 ? Infinity : unsettledMs,
      generation: changes,
      openings,
      maxAgeMs: unleasedMaxAgeMs,
      subject: ofDisk.subject,
    }
    return { ...state, capabilities, refs: named }
  }

  /** undefined: leases decide. */
  async #lookAtRefs(
    look: Look,
    opened: OpenRepository,
    state: RepositoryState,
  ): Promise<SeenRefs | 'outside' | undefined> {
    const { root, modes, leases, directoriesMax, looseRefsMax, linksAnywhere } = this.#options
    const { mode, reason } = modes.of(state.repository)
    if (mode === 'lease') return undefined
    const directories = reason === 'configured' ? Infinity : directoriesMax
    const linksBelow = linksAnywhere ? root.real() : undefined
    const seen = await lookAtRefs(look, opened, state, { directories, looseRefs: looseRefsMax, linksBelow })
    if (seen !== 'directories') return seen
    modes.tooManyDirectories(state.repository)
    // Who took the disk to decide, as a push does until this look is done, may have ended a lease without a change.
    leases.invalidate(state.repository.commonDir)
    return undefined
  }
}
