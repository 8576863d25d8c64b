import { isRepositoryPath } from '../../git/state/repository-path.js'
import { RpcError } from '../status.js'

/** Path lengths in bytes that no filesystem takes. */
const pathMax = 4096

/** A path relative to the root, as a message gives it. @throws Refusal */
export function repositoryPath(path: string): string {
  if (path === '') throw new RpcError('invalid', 'repository is missing')
  if (Buffer.byteLength(path) > pathMax)
    throw new RpcError('invalid', 'the path is too long for any repository')
  if (isRepositoryPath(path)) return path
  throw new RpcError(
    'invalid',
    `${JSON.stringify(path)} is not the path of a repository, relative to the root`,
  )
}

/** A path relative to the root, or absolute below it. @throws Refusal */
export function mutatorPath(path: string): string {
  repositoryPath(path.replace(/^\//, ''))
  return path
}
