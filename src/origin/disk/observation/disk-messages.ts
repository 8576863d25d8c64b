import type { RemotePath } from '../../../git/filesystem/path-guard.js'
import type { DiskOptions } from './disk.js'
import type { ModeRule } from './modes.js'

/** What a helper process needs to make a `Disk` and its `Modes`. */
export interface HelperConfig extends Pick<DiskOptions, 'directoriesMax' | 'looseRefsMax' | 'linksAnywhere'> {
  /** The repositories' root as configured. */
  readonly root: string
  readonly rules: readonly ModeRule[]
}

/** The queries: the methods of `Disk`. */
export const diskQueries = [
  'find',
  'observe',
  'observeObjects',
  'root',
  'relative',
  'objects',
  'program',
  'visit',
] as const
export type DiskQuery = (typeof diskQueries)[number]

/** The first message to a helper. */
export interface HelperStart {
  readonly config: HelperConfig
  /** The ids of the mounts that it serves: it may hang on these and on no others. */
  readonly allowed: readonly string[]
}

export interface DiskRequest {
  readonly id: number
  readonly query: DiskQuery
  readonly args: readonly unknown[]
  /** The caller's time limit, in milliseconds of `machineMs`. */
  readonly untilMs: number
}

/** An answer, an error, or the mount that the query leads to and that the helper does not serve. */
export interface DiskResponse {
  readonly id: number
  readonly answer?: unknown
  readonly error?: unknown
  readonly remote?: RemotePath['mount']
  /** The time limit has passed: the query was not run. */
  readonly late?: true
}

/** Returns milliseconds of CLOCK_MONOTONIC, which all processes of a machine share and which is never set back. */
export const machineMs = (): number => Number(process.hrtime.bigint() / 1_000_000n)
