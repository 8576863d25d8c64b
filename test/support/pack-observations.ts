import type { ObservedState } from '../../src/freshness/observed-state.js'
import type { ObjectsObservation } from '../../src/origin/disk/observation/observer.js'
import { Git } from '../../src/git/process/git.js'
import { refListing } from '../../src/git/process/upload-pack.js'
import type { Repository } from '../../src/git/state/repository.js'
import type { SharedListing } from '../../src/origin/ref-listings.js'
import { repositoryAt } from './found-repository.js'
import { sharedListing } from './listings.js'
import { gitEnvironment } from './repositories.js'

/** Returns a settled state, unless `changes` say otherwise. */
export const stateOf = (token: string, changes: Partial<ObservedState> = {}): ObservedState => ({
  ...{ token, unsettledMs: 0, generation: 0, openings: 0, maxAgeMs: Infinity },
  ...changes,
})

/** Returns what is observed of a repository for its packs. @param mentioned variables that configuration files mention */
export const objectsOf = (
  repository: Repository,
  objects = stateOf('objects'),
  mentioned: readonly string[] | undefined = [],
): ObjectsObservation =>
  ({
    ...{ repository, exported: true, objects, capabilities: stateOf('capabilities') },
    config: { mentioned: new Set(mentioned) },
  }) as unknown as ObjectsObservation

/** Returns the listing of a repository's refs as Git makes it now. */
export async function listingOf(path: string): Promise<SharedListing> {
  const git = new Git({ path: 'git', environment: gitEnvironment })
  const chunks: Buffer[] = []
  const bytes = refListing(git, repositoryAt(path), 'sha1', new AbortController().signal)
  for await (const chunk of bytes) chunks.push(chunk)
  return sharedListing(Buffer.concat(chunks))
}
