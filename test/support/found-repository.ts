import { StatSnapshot } from '../../src/git/state/stat-snapshot.js'
import { SnapshotMemory } from '../../src/git/state/snapshot-memory.js'
import { RepositoriesRoot } from '../../src/git/state/repositories-root.js'
import type { Repository } from '../../src/git/state/repository.js'
import { openRepository } from '../../src/git/state/open-repository.js'

const memory = new SnapshotMemory()

/** Returns the repository that a path below a root means. */
export function findRepository(root: string, path: string): Repository | undefined {
  const opened = openRepository(new StatSnapshot(memory), new RepositoriesRoot(root), path)
  opened?.close()
  return opened?.repository
}

/** Returns the repository at a path, with that path as the root. @throws if there is none */
export function repositoryAt(path: string): Repository {
  const repository = findRepository(path, '')
  if (!repository) throw new Error(`there is no repository at ${path}`)
  return repository
}
