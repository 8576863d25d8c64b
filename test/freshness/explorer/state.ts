/**
 * The freshness protocol's state, for a search through all interleavings (explorer.ts has what may happen to it). One
 * repository with a value that writers replace, and two keys (say, v0 and v2) with one entry and one turn each: that a
 * key never has two fills, and that all who wait for the next share it, is in the shape of this state.
 */

/** What the state of refs is known by; see docs/architecture.md. */
export type Mode = 'observe' | 'lease'

/** Ways to break the protocol, each of which the search must notice. */
export type Fault =
  | 'joins whatever runs'
  | 'takes looks that began before'
  | 'is blind to open leases'
  | 'keeps the generation at expiry'
  | 'forgets leases in a crash'
  | 'forgets leases in a crash and keeps its boot id'
  | 'confirms without counting openings'
  | 'lets no lease expire'
  | 'forgets who gathered'

export interface Scene {
  readonly mode: Mode
  readonly writers: readonly Script[]
  readonly readers: number
  readonly crashes: number
  readonly fault?: Fault
}

/** What a writer does. */
export interface Script {
  /** `undo` brings back the value from before all writes. Who opens and does not end has died, and ends never. */
  readonly steps: readonly ('open' | 'write' | 'undo' | 'end')[]
  /** What it says of the lease when that ends. */
  readonly changed: boolean
  /** May its lease expire before it has ended? */
  readonly unlucky: boolean
}

/** What a look says: `token` stands for Sight's token, generation and maxAgeMs in src/, as one number. */
export interface Sight {
  /** undefined: unsettled. */
  readonly token: number | undefined
  /** Leases opened so far; 0 where the disk is looked at. */
  readonly openings: number
}

export interface Version {
  readonly value: number
  /** -1: it was there before. */
  readonly writer: number
  /** Written under a lease that had not expired. */
  readonly covered: boolean
}

export interface Writer {
  /** Steps of its script that it has done. */
  readonly done: number
  readonly lease: 'none' | 'open' | 'expired'
}

/** `following`: waits for the bytes of its key's turn. `gathered`: waits for the turn after that. */
export interface Reader {
  readonly is: 'away' | 'asking' | 'gathered' | 'following' | 'answered' | 'failed'
  /** The oldest version that may answer. */
  readonly from: number
  readonly sight?: Sight
}

export interface Turn {
  readonly is: 'looking' | 'looked' | 'reading' | 'read' | 'confirmed'
  readonly sight: Sight
  readonly value?: number
}

export interface Entry {
  readonly token: number
  readonly value: number
}

/** Lists are replaced, never changed, but by the step that has just copied them (`copy`). */
export interface State {
  versions: Version[]
  writers: Writer[]
  readers: Reader[]
  turns: (Turn | undefined)[]
  entries: (Entry | undefined)[]
  /** The sidecar's leases, by writer. */
  leases: number[]
  generation: number
  openings: number
  boot: number
  crashes: number
  /** The newest version that an answer has shown to the world. */
  shown: number
}

export const initial = ({ writers, readers, crashes }: Scene): State => ({
  versions: [{ value: 0, writer: -1, covered: true }],
  writers: writers.map(() => ({ done: 0, lease: 'none' })),
  readers: Array.from({ length: readers }, () => ({ is: 'away', from: 0 })),
  turns: [undefined, undefined],
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
  turns: state.turns.slice(),
  entries: state.entries.slice(),
  leases: state.leases.slice(),
  generation: state.generation,
  openings: state.openings,
  boot: state.boot,
  crashes: state.crashes,
  shown: state.shown,
})

/** The writer's whole script is done, its lease or its invalidation answered. */
export function hasEnded(writer: number, { writers }: State, scene: Scene): boolean {
  if (writer < 0) return true
  const { steps } = scene.writers[writer]!
  return writers[writer]!.done === steps.length && (steps[0] !== 'open' || steps.at(-1) === 'end')
}

/** Readers take the keys in turns. */
export const keyOf = (reader: number): number => reader % 2

/** The token of a settled look. At most 16 of each, so that it is one number. */
export const tokenOf = ({ mode }: Scene, { versions, boot, generation }: State): number =>
  // The look at the disk tells each version from all others, before a crash and after it.
  (mode === 'observe' ? versions.length : boot) * 16 + generation
