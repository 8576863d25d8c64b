import { isRepositoryPath, repositoryPathMax } from '../../git/state/repository-path.js'
import { RpcError } from '../status.js'

/** Checks a path relative to the root, as a message has it. @throws RpcError */
export function repositoryPath(path: string): string {
  if (path === '') throw new RpcError('invalid', 'repository is missing')
  if (Buffer.byteLength(path) > repositoryPathMax)
    throw new RpcError('invalid', `the path is longer than ${repositoryPathMax} bytes`)
  if (isRepositoryPath(path)) return path
  throw new RpcError(
    'invalid',
    `${JSON.stringify(path)} is not the path of a repository, relative to the root`,
  )
}

/** Checks a path relative to the root, or absolute below it. @throws RpcError */
export function mutatorPath(path: string): string {
  repositoryPath(path.replace(/^\//, ''))
  return path
}
