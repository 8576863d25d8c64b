import type { Git } from '../../git/process/git.js'
import { packFor } from '../../git/process/pack-process.js'
import type { ServingConfig } from '../../git/process/serving-config.js'
import type { FetchRequest } from '../../git/protocol/fetch-request.js'
import type { Repository } from '../../git/state/repository.js'
import type { PassedReason } from '../pack-answer.js'
import type { PackSource, PackState, SharedPack } from '../packs/pack-source.js'
import { packQuestion, type DiskQuestion } from '../peers/peer-question.js'
import { askedAge, sharedIdentityOf } from '../peers/shared-identity.js'
import type { Target } from '../target.js'
import type { ObjectsObservation } from './observation/observer.js'
import type { PackNames } from './pack-names.js'
import type { ServedRepositories } from './served-repositories.js'

export interface DiskPacksOptions {
  readonly git: Git
  readonly served: ServedRepositories
  readonly names: PackNames
}

/** Packs of repositories here, made by `git upload-pack`. */
export class DiskPacks implements PackSource {
  readonly #options: DiskPacksOptions

  constructor(options: DiskPacksOptions) {
    this.#options = options
  }

  async stateOf(target: Target, asked: FetchRequest): Promise<PackState | PassedReason> {
    const { git, served, names } = this.#options
    const observed = await served.observeObjects(target)
    const serving = await served.servingConfig(observed)
    if (serving.objectFormat !== asked.objectFormat) return 'format'
    if (mayHaveHook(observed)) return 'hook'
    const { name, tags, unsettledMs, maxAgeMs } = await names.stateOf(target, asked, observed)
    const { repository } = observed
    return {
      repository: repository.commonDir,
      name,
      unsettledMs,
      maxAgeMs,
      make: ({ signal, ...run }) => packFor(git, repository, asked, signal, run),
      // The tags are not looked at again: a tag more or less in a pack is no error, and the next request has the new ones.
      holds: async () => {
        const now = await names.stateOf(target, asked, await served.observeObjects(target), tags)
        return now.unsettledMs === 0 && now.name === name
      },
      shared: () => sharedPack(target, repository, serving, asked, maxAgeMs),
    }
  }
}

function sharedPack(
  { path }: Target,
  repository: Repository,
  serving: ServingConfig,
  asked: FetchRequest,
  maxAgeMs: number,
): SharedPack {
  const { gitName, commonName } = repository
  const identity = sharedIdentityOf(repository, serving)
  return {
    repository: commonName || '.',
    key: `pack ${asked.digest} ${gitName}`,
    identity,
    question: (admitted): DiskQuestion => ({
      ...{ origin: 'disk', path, repository: identity, asked: packQuestion(asked, admitted) },
      ...askedAge(maxAgeMs),
    }),
  }
}

/**
 * May a hook make the pack, which may look at who asks? `uploadpack.packObjectsHook` is heeded in the user's and the
 * system's configuration (git-config(1)); where any file mentions it, Git answers as without refstream.
 */
const mayHaveHook = ({ config: { mentioned } }: ObjectsObservation): boolean =>
  mentioned?.has('uploadpack.packobjectshook') ?? true
