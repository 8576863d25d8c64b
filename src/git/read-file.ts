import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/**
 * Reads a regular file. Opening one is never waited for, should there be a pipe in its place by now.
 * @throws the system's error, or that it is no regular file
 */
export function readRegularFile(path: string | Buffer): Buffer {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!fstatSync(descriptor).isFile()) throw new Error('no regular file')
    return readFileSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
