/**
 * The state of the freshness protocol, for a search through all interleavings (the steps are in explorer.ts). There is one
 * repository with a value that writers replace, and two keys (say, v0 and v2) with one entry and one round each. That a
 * key never has two fills, and that all waiting requests share the next one, follows from the shape of this state.
 */

/** What names the state of the refs; see docs/architecture.md. */
export type Mode = 'observe' | 'lease'

/** Ways to break the protocol, each of which the search must notice. */
export type Fault =
  | 'joins any fill'
  | 'uses earlier observations'
  | 'ignores open leases'
  | 'keeps the generation at expiry'
  | 'forgets leases in a crash'
  | 'forgets leases in a crash and keeps its boot id'
  | 'confirms without counting openings'
  | 'lets no lease expire'
  | 'forgets gathered requests'

export interface Scene {
  readonly mode: Mode
  readonly writers: readonly Script[]
  readonly readers: number
  readonly crashes: number
  readonly fault?: Fault
}

/** The steps of a writer. */
export interface Script {
  /** `undo` restores the value from before all writes. A writer that opens and does not end has died. */
  readonly steps: readonly ('open' | 'write' | 'undo' | 'end')[]
  /** What it reports when it ends its lease. */
  readonly changed: boolean
  /** May its lease expire before it has ended? */
  readonly unlucky: boolean
}

/** An observation; `token` stands for token, generation and maxAgeMs of ObservedState in src/, as one number. */
export interface ObservedState {
  /** undefined: unsettled. */
  readonly token: number | undefined
  /** Leases opened so far; 0 where the disk decides. */
  readonly openings: number
}

export interface Version {
  readonly value: number
  /** -1: the initial version. */
  readonly writer: number
  /** Written under a lease that had not expired. */
  readonly covered: boolean
}

export interface Writer {
  /** Steps of its script that it has done. */
  readonly done: number
  readonly lease: 'none' | 'open' | 'expired'
}

/** `following`: waits for the bytes of its key's round. `gathered`: waits for the round after that. */
export interface Reader {
  readonly is: 'away' | 'asking' | 'gathered' | 'following' | 'answered' | 'failed'
  /** The oldest version that may answer. */
  readonly from: number
  readonly observed?: ObservedState
}

export interface Round {
  readonly is: 'observing' | 'observed' | 'reading' | 'read' | 'confirmed'
  readonly observed: ObservedState
  readonly value?: number
}

export interface Entry {
  readonly token: number
  readonly value: number
}

/** Lists are never changed but by the step that has just copied them (`copy`). */
export interface State {
  versions: Version[]
  writers: Writer[]
  readers: Reader[]
  rounds: (Round | undefined)[]
  entries: (Entry | undefined)[]
  /** The open leases, by writer. */
  leases: number[]
  generation: number
  openings: number
  boot: number
  crashes: number
  /** The newest version that an answer has shown. */
  shown: number
}

export const initial = ({ writers, readers, crashes }: Scene): State => ({
  versions: [{ value: 0, writer: -1, covered: true }],
  writers: writers.map(() => ({ done: 0, lease: 'none' })),
  readers: Array.from({ length: readers }, () => ({ is: 'away', from: 0 })),
  rounds: [undefined, undefined],
  entries: [undefined, undefined],
  leases: [],
  generation: 0,
  openings: 0,
  boot: 0,
  crashes,
  shown: 0,
})

export const copy = (state: State): State => ({
  versions: state.versions.slice(),
  writers: state.writers.slice(),
  readers: state.readers.slice(),
  rounds: state.rounds.slice(),
  entries: state.entries.slice(),
  leases: state.leases.slice(),
  generation: state.generation,
  openings: state.openings,
  boot: state.boot,
  crashes: state.crashes,
  shown: state.shown,
})

/** Has the writer done its whole script, and got an answer for the end of its lease? */
export function hasEnded(writer: number, { writers }: State, scene: Scene): boolean {
  if (writer < 0) return true
  const { steps } = scene.writers[writer]!
  return writers[writer]!.done === steps.length && (steps[0] !== 'open' || steps.at(-1) === 'end')
}

/** Readers alternate between the keys. */
export const keyOf = (reader: number): number => reader % 2

/** The token of a settled observation. Fewer than 16 generations, so that it is one number. */
export const tokenOf = ({ mode }: Scene, { versions, boot, generation }: State): number =>
  // An observation of the disk distinguishes every version from all others, before a crash and after it.
  (mode === 'observe' ? versions.length : boot) * 16 + generation
