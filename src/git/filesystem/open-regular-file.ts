import { constants, type BigIntStats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

/** Neither follows a link, which may lead anywhere, nor waits for the writer of a pipe. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** A regular file that is held open, and its stat as it was opened. The holder closes the handle. */
export interface OpenRegularFile {
  readonly handle: FileHandle
  readonly stats: BigIntStats
}

/**
 * Opens a regular file to be read in pieces. A symbolic link is an error (ELOOP).
 * @returns undefined: the path leads to something else, such as a directory or a pipe
 * @throws the system's error
 */
export async function openRegularFile(path: string | Buffer): Promise<OpenRegularFile | undefined> {
  const handle = await open(path, flags)
  try {
    const stats = await handle.stat({ bigint: true })
    if (stats.isFile()) return { handle, stats }
  } catch (error) {
    await handle.close()
    throw error
  }
  await handle.close()
  return undefined
}
