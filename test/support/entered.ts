import { StatSnapshot } from '../../src/git/state/stat-snapshot.js'
import { createSnapshotMemory } from '../../src/git/state/snapshot-memory.js'
import { RepositoriesRoot } from '../../src/git/state/repositories-root.js'
import type { Repository } from '../../src/git/state/repository.js'
import { openRepository } from '../../src/git/state/open-repository.js'

const memory = createSnapshotMemory()

/** What a path below a root means. */
export function enter(root: string, path: string): Repository | undefined {
  const opened = openRepository(new StatSnapshot(memory), new RepositoriesRoot(root), path)
  opened?.close()
  return opened?.repository
}

/** The repository at a path, as if it were the root. */
export function repositoryAt(path: string): Repository {
  const repository = enter(path, '')
  if (!repository) throw new Error(`there is no repository at ${path}`)
  return repository
}
