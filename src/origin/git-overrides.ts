import type { Disks } from './disk/observation/disks.js'
import { parseClientConfig } from '../git/process/client-config.js'
import type { UploadPackOverrides } from '../git/process/upload-pack.js'
import type { Repository } from '../git/state/repository.js'
import { InvalidGitOverrides } from './errors.js'

/** What a client overrides for its own answer, as the request has it, unchecked. */
export interface GitOverrides {
  /** Each `KEY=VALUE`. */
  readonly configOptions?: readonly string[]
  /** Where objects are instead of in `objects/`, relative to the repository; empty: there. */
  readonly objectDirectory?: string
  readonly alternateObjectDirectories?: readonly string[]
}

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

/** Returns whether a request overrides nothing, so that the shared answer is right for it. */
export const overridesNothing = ({
  configOptions,
  objectDirectory,
  alternateObjectDirectories,
}: GitOverrides): boolean => !configOptions?.length && !objectDirectory && !alternateObjectDirectories?.length
