import { createLookMemory, Look } from '../../src/git/look.js'
import { RepositoriesRoot } from '../../src/git/repositories-root.js'
import { enterRepo, type Repository } from '../../src/git/repository.js'

const memory = createLookMemory()

/** What a path below a root means. */
export function enter(root: string, path: string): Repository | undefined {
  const opened = enterRepo(new Look(memory), new RepositoriesRoot(root), path)
  opened?.close()
  return opened?.repository
}

/** The repository at a path, as if it were the root. */
export function repositoryAt(path: string): Repository {
  const repository = enter(path, '')
  if (!repository) throw new Error(`there is no repository at ${path}`)
  return repository
}
