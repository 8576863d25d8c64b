import { parseClientConfig } from '../git/client-config.js'
import type { Disks } from '../freshness/disks.js'
import type { Repository } from '../git/repository.js'
import type { OwnTerms } from '../git/upload-pack.js'
import { BadTerms } from './errors.js'

/** What a client wants to be different for its own answer, as it said it. */
export interface ClientTerms {
  /** Each `KEY=VALUE`. */
  readonly configOptions?: readonly string[]
  /** Where objects are instead of in `objects/`, relative to the repository; empty: there. */
  readonly objectDirectory?: string
  readonly alternateObjectDirectories?: readonly string[]
}

/** @throws BadTerms, FilesystemUnanswered */
export async function checkTerms(
  repository: Repository,
  terms: ClientTerms,
  findObjects: Disks['objects'],
): Promise<OwnTerms> {
  const { configOptions = [], objectDirectory = '', alternateObjectDirectories = [] } = terms
  const config = parseClientConfig(configOptions)
  if ('refused' in config) throw new BadTerms(config.refused)
  const objects = await findObjects(repository, objectDirectory, alternateObjectDirectories)
  if ('refused' in objects) throw new BadTerms(objects.refused)
  return { config, objects }
}
