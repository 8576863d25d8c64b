import { trusting } from './environment.js'
import type { Git } from './git.js'
import { GitError } from './git.js'
import type { ConfigSight } from './config-files.js'
import type { Repository } from './repository.js'

/** What a repository's configuration says about serving its refs. */
export interface Serving {
  /** `http.uploadpack`: may clients read at all? Git's default is yes (git-http-backend(1)). */
  readonly uploadPack: boolean
  /** `transfer.advertiseSID` off: does every client get the same bytes? */
  readonly shared: boolean
}

/**
 * Asks Git, but only for what some configuration file mentions: mostly nothing is mentioned, and no process runs.
 * @throws GitError if Git cannot read the configuration
 */
export async function readServing(git: Git, repository: Repository, config: ConfigSight): Promise<Serving> {
  const ask = async (name: string, fallback: boolean): Promise<boolean> => {
    if (config.mentioned && !config.mentioned.has(name)) return fallback
    const environment = { ...trusting(git.environment, repository.gitDir), GIT_DIR: repository.gitDir }
    // Exit code 1: the variable is not set (git-config(1)).
    const answer = await git.output(['config', '--type=bool', '--get', name], { environment }, [0, 1])
    if (!['true\n', 'false\n', ''].includes(answer)) throw new GitError(`git config: unexpected ${answer}`)
    return answer === '' ? fallback : answer === 'true\n'
  }
  const [uploadPack, advertisesSid] = await Promise.all([
    ask('http.uploadpack', true),
    ask('transfer.advertisesid', false),
  ])
  return { uploadPack, shared: !advertisesSid }
}
