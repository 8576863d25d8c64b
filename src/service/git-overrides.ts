import { parseClientConfig } from '../git/process/client-config.js'
import type { Disks } from '../freshness/disk/disks.js'
import type { Repository } from '../git/state/repository.js'
import type { UploadPackOverrides } from '../git/process/upload-pack.js'
import { InvalidGitOverrides } from './errors.js'

/** What a client wants to be different for its own answer, as it said it. */
export interface GitOverrides {
  /** Each `KEY=VALUE`. */
  readonly configOptions?: readonly string[]
  /** Where objects are instead of in `objects/`, relative to the repository; empty: there. */
  readonly objectDirectory?: string
  readonly alternateObjectDirectories?: readonly string[]
}

/** @throws BadTerms, FilesystemUnanswered */
export async function checkGitOverrides(
  repository: Repository,
  terms: GitOverrides,
  findObjects: Disks['objects'],
): Promise<UploadPackOverrides> {
  const { configOptions = [], objectDirectory = '', alternateObjectDirectories = [] } = terms
  const config = parseClientConfig(configOptions)
  if ('refused' in config) throw new InvalidGitOverrides(config.refused)
  const objects = await findObjects(repository, objectDirectory, alternateObjectDirectories)
  if ('refused' in objects) throw new InvalidGitOverrides(objects.refused)
  return { config, objects }
}
