import type { Disks } from './observation/disks.js'
import { parseClientConfig } from '../../git/process/client-config.js'
import type { UploadPackOverrides } from '../../git/process/upload-pack.js'
import type { Repository } from '../../git/state/repository.js'
import { InvalidGitOverrides } from '../faults/errors.js'
import type { GitOverrides } from '../git-overrides.js'

/** @throws InvalidGitOverrides, FilesystemUnanswered */
export async function checkGitOverrides(
  repository: Repository,
  { configOptions = [], objectDirectory = '', alternateObjectDirectories = [] }: GitOverrides,
  findObjects: Disks['objects'],
): Promise<UploadPackOverrides> {
  const config = parseClientConfig(configOptions)
  if ('refused' in config) throw new InvalidGitOverrides(config.refused)
  const objects = await findObjects(repository, objectDirectory, alternateObjectDirectories)
  if ('refused' in objects) throw new InvalidGitOverrides(objects.refused)
  return { config, objects }
}
