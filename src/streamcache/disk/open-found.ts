import { constants, openSync } from 'node:fs'

/** Opens a file for reading; undefined: it does not exist. The caller closes it. @throws the system's error */
export function openFound(path: string): number | undefined {
  try {
    // Non-blocking, so that a pipe does not make the open wait for a writer.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
