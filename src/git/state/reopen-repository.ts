import { systemPath } from '../filesystem/byte-path.js'
import { OpenDirectory } from '../filesystem/open-directory.js'
import type { PathGuard } from '../filesystem/path-guard.js'
import type { OpenRepository, Repository } from './repository.js'

/** The path of a repository means another one by now, or none. */
export class RepositoryExchanged extends Error {
  override readonly name = 'RepositoryExchanged'
  override readonly message = 'the repository was exchanged while it was about to be read'
}

/**
 * Opens the directories of a repository again; the caller closes them.
 * @throws RepositoryExchanged if they are not the same directories as before, RemotePath
 */
export function reopenRepository(
  repository: Repository,
  guard?: PathGuard,
): Pick<OpenRepository, 'git' | 'common' | 'close'> {
  const { gitDir, gitIdentity, commonDir, commonIdentity } = repository
  guard?.check(gitDir)
  guard?.check(commonDir)
  const git = OpenDirectory.open(systemPath(gitDir))
  let common = git
  const close = (): void => {
    git?.close()
    if (common !== git) common?.close()
  }
  if (commonDir !== gitDir) {
    try {
      common = OpenDirectory.open(systemPath(commonDir))
    } catch (error) {
      close()
      throw error
    }
  }
  if (git?.identity === gitIdentity && common?.identity === commonIdentity) return { git, common, close }
  close()
  throw new RepositoryExchanged()
}
