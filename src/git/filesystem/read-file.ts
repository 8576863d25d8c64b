import { readFileSync } from 'node:fs'
import { withFile } from '../../config/files.js'

/**
 * Reads a regular file, by whatever link. Opening one is never waited for, should there be a pipe in its place by now.
 * @throws the system's error, or that it is no regular file
 */
export const readRegularFile = (path: string | Buffer): Buffer =>
  withFile(path, 0, (handle, stats) => {
    if (!stats.isFile()) throw new Error('no regular file')
    return readFileSync(handle)
  })
