/**
 * What an observation of refs has recorded, for finding later what has changed since: the snapshot's own records, and
 * which of them is what. Nothing is copied or parsed while a repository is observed.
 *
 * A record is the name of a place and, after its last space, a version (`versionOf`), `-` or the code of an error; the
 * records of `tables` are a name and the content of a file. A place's name is the identity of a directory of the
 * repository and a relative path, whose bytes are written as Latin-1 below refs/. Bounds are indices of `records`: the
 * first record of a part, and the one behind its last.
 */
export interface RefDetails {
  /** Digest of all that decides the answer besides refs and `shallow`: identity, configuration, programs, environment. */
  readonly configuration: string
  readonly records: readonly string[]
  readonly head: RecordRange
  readonly packedRefs: RecordRange
  readonly shallow: RecordRange
  readonly common: RefPart
  /** Of a linked worktree: the refs of its own. */
  readonly own: RefPart | undefined
}

/** The refs of one directory of a repository. */
export interface RefPart {
  /** The identity of the directory, with which the names of its places begin. */
  readonly identity: string
  /** The content of reftable/tables.list; empty: the repository has no reftables. */
  readonly tables: RecordRange
  /** Directories under refs/ and loose refs. */
  readonly refs: RecordRange
  /** Which of these records are directories, in ascending order. */
  readonly directories: readonly number[]
  /** Which of the directories have loose refs that were not checked one by one. */
  readonly unchecked: readonly number[]
}

/** Indices of records: the first, and one behind the last. */
export type RecordRange = readonly [start: number, end: number]
