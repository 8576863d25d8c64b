import type { RemotePath } from '../../git/filesystem/path-guard.js'
import type { DiskOptions } from './disk.js'
import type { ModeRule } from './modes.js'

/** What a helper process is told first. */
export interface HelperConfig extends Pick<DiskOptions, 'directoriesMax' | 'looseRefsMax' | 'linksAnywhere'> {
  /** The repositories' root, as it was given. */
  readonly root: string
  readonly rules: readonly ModeRule[]
}

/** What may be asked: the methods of `Disk`. */
export const diskQueries = ['find', 'observe', 'root', 'relative', 'objects', 'program', 'visit'] as const
export type DiskQuery = (typeof diskQueries)[number]

/** The first message to a helper. */
export interface HelperStart {
  readonly config: HelperConfig
  /** Mounts that it is there for, by id: it may hang on these and on no others. */
  readonly allowed: readonly string[]
}

export interface DiskRequest {
  readonly id: number
  readonly query: DiskQuery
  readonly args: readonly unknown[]
  /** When nobody waits for the answer any more, in milliseconds of the machine's steady clock. */
  readonly untilMs: number
}

/** An answer, an error, or a mount that it leads to and that the helper is not there for. */
export interface DiskResponse {
  readonly id: number
  readonly answer?: unknown
  readonly error?: unknown
  readonly remote?: RemotePath['mount']
  /** Nobody waits for the answer any more: it was not looked for. */
  readonly late?: true
}

/** Milliseconds by the clock that all processes of a machine share and nobody puts back (CLOCK_MONOTONIC). */
export const machineMs = (): number => Number(process.hrtime.bigint() / 1_000_000n)
