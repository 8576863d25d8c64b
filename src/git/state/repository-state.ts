import type { Place } from '../filesystem/open-directory.js'
import { observeConfig, type ConfigScopes, type ObservedConfig } from './config-files.js'
import type { RepositoriesRoot } from './repositories-root.js'
import { identityOf, type OpenRepository, type Repository } from './repository.js'
import type { StatSnapshot } from './stat-snapshot.js'

/** What an observation has found. Equal tokens mean that nothing changed between two observations. */
export interface StateDigest {
  readonly token: string
  /** 0: settled. Otherwise, milliseconds after which it would be if nothing changes; Infinity: never. */
  readonly unsettledMs: number
}

/** A repository, and what decides how it is served, as it was observed. */
export interface RepositoryState {
  readonly repository: Repository
  /** Is git-daemon-export-ok there? */
  readonly exported: boolean
  readonly config: ObservedConfig
  /** All that decides a capability advertisement of protocol v2, which has no refs in it. */
  readonly capabilities: StateDigest
}

/** What an observation must know of this machine. */
export interface ObservationSettings {
  readonly root: RepositoriesRoot
  readonly scopes: ConfigScopes
  /** Files of the Git program that runs; another Git may write other bytes. */
  readonly programs: readonly Place[]
  /** Digest of the environment that Git processes get. */
  readonly environmentDigest: string
}

/**
 * Observes a repository without its refs: the configuration with its includes, git-daemon-export-ok, and the Git program.
 */
export function observeRepository(
  snapshot: StatSnapshot,
  settings: Omit<ObservationSettings, 'root'>,
  opened: OpenRepository,
): RepositoryState {
  const { repository, git, stats } = opened
  const { gitDir } = repository
  snapshot.recordText(
    `${gitDir} ${repository.commonDir} ${identityOf(repository)} ${settings.environmentDigest}`,
  )
  for (const program of settings.programs) snapshot.stat(program)
  const config = observeConfig(snapshot, opened, settings.scopes)
  const marker = 'git-daemon-export-ok'
  const exported = (snapshot.entries(git)?.has(marker) ?? true) && snapshot.stat(git.at(marker)) !== undefined
  if (!config.mentioned || config.mentioned.has('includeif.path')) {
    // The branch may decide which files are included (git-config(1), "onbranch"),
    snapshot.record(git.at('HEAD'), stats.HEAD)
    // and so may the path ("gitdir"), which changes when a directory on it is renamed.
    for (const directory of directoriesAbove(gitDir)) snapshot.stat({ name: directory, path: directory })
  }
  return { repository, exported, config, capabilities: digestSoFar(snapshot, config) }
}

function directoriesAbove(path: string): string[] {
  const names = path.split('/')
  return names.map((_, index) => names.slice(0, index + 1).join('/') || '/')
}

/** Returns the digest of a snapshot: never settled if a configuration file may have been missed. */
export const digestSoFar = (snapshot: StatSnapshot, config: ObservedConfig): StateDigest => ({
  token: snapshot.digest(),
  unsettledMs: config.hidden ? Infinity : snapshot.unsettledMs,
})
