import { readFileSync } from 'node:fs'
import { withFile } from '../../config/files.js'

/**
 * Returns the content of a regular file, links followed. Never waits for a writer if the path is a pipe by now.
 * @throws the system's error, or an error if it is not a regular file
 */
export const readRegularFile = (path: string | Buffer): Buffer =>
  withFile(path, 0, (handle, stats) => {
    if (!stats.isFile()) throw new Error('not a regular file')
    return readFileSync(handle)
  })
