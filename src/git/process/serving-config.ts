import { hash } from 'node:crypto'
import type { Git } from './git.js'
import { outputOf } from './git-process.js'
import { spawnIn } from './git-in-repository.js'
import type { ObservedConfig } from '../state/config-files.js'
import type { Repository } from '../state/repository.js'

/** What a repository's configuration says about serving its refs. */
export interface ServingConfig {
  /** `http.uploadpack`: may clients read? Git's default is yes (git-http-backend(1)). */
  readonly uploadPack: boolean
  /** Does every client get the same bytes? So if `transfer.advertiseSID` is off. */
  readonly shared: boolean
  /** `extensions.objectFormat`: sha1 unless it says otherwise (git-config(1)). */
  readonly objectFormat: string
  /** Names the Git and the configuration that make the bytes: equal on hosts where both are the same. */
  readonly digest: string
}

/** Time limit in milliseconds for each Git command. */
const answerWithinMs = 10_000

/**
 * Asks Git for the variables that some configuration file mentions: mostly there are none, and no process runs.
 * @param version of Git
 * @throws GitError if Git cannot read the configuration, RepositoryExchanged, Overloaded
 */
export async function readServingConfig(
  git: Git,
  repository: Repository,
  config: ObservedConfig,
  version: string,
): Promise<ServingConfig> {
  const environment = { ...git.environment, GIT_DIR: '.' }
  const ask = async (name: string, fallback: string, ...type: string[]): Promise<string> => {
    if (config.mentioned && !config.mentioned.has(name)) return fallback
    // Clients that were admitted may wait for the answer too, so the larger limit of the queue applies.
    const permit = await git.acquirePermit({ class: 'fill', group: repository.commonDir, admitted: true })
    // Exit code 1: the variable is not set (git-config(1)).
    const signal = AbortSignal.timeout(answerWithinMs)
    const process = spawnIn(git, repository, ['config', ...type, '--get', name], {
      environment,
      signal,
      permit,
      mayGiveUp: true,
    })
    const answer = await outputOf(process, [0, 1]).catch((error: unknown) => {
      throw process.unanswered ?? error
    })
    return answer === '' ? fallback : answer.replace(/\n$/, '')
  }
  const [uploadPack, advertisesSid, objectFormat] = await Promise.all([
    ask('http.uploadpack', 'true', '--type=bool'),
    ask('transfer.advertisesid', 'false', '--type=bool'),
    ask('extensions.objectformat', 'sha1'),
  ])
  const digest = digestOf(git, repository, config, version)
  return { uploadPack: uploadPack === 'true', shared: advertisesSid === 'false', objectFormat, digest }
}

function digestOf(
  { environment }: Git,
  { gitDir }: Repository,
  { mentioned, contents }: ObservedConfig,
  version: string,
): string {
  const variables = Object.entries(environment)
    .filter(([name]) => name.startsWith('GIT_'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  // Which files are included may depend on where the repository is (git-config(1), "gitdir").
  const place = !mentioned || mentioned.has('includeif.path') ? gitDir : ''
  return hash('sha256', JSON.stringify([version, variables, contents, place]), 'base64url')
}
