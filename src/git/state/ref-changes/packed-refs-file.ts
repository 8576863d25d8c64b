import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { OpenDirectory } from '../../filesystem/open-directory.js'
import type { PathGuard } from '../../filesystem/path-guard.js'
import { versionOf } from '../snapshot-memory.js'
import { FullNeeded } from './full-reason.js'

/** Neither follows a link, nor waits for the writer of a pipe. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** A version of packed-refs, held open: it stays readable when another file takes its name. */
export class PackedRefsFile {
  readonly handle: FileHandle
  /** See `versionOf`, when it was opened. */
  readonly version: string

  private constructor(handle: FileHandle, version: string) {
    this.handle = handle
    this.version = version
  }

  /** Opens the current version; undefined: there is none. @throws FullNeeded if it is no file, RemotePath, system's error */
  static async open(common: OpenDirectory, guard?: PathGuard): Promise<PackedRefsFile | undefined> {
    const { path, real } = common.at('packed-refs')
    guard?.check(real!)
    let handle: FileHandle
    try {
      handle = await open(path, flags)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    try {
      const stats = await handle.stat({ bigint: true })
      if (!stats.isFile()) throw new FullNeeded('packed-refs')
      return new PackedRefsFile(handle, versionOf(stats))
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /**
   * Makes sure that the file, which is not current any more, holds what it held when it was opened. Its ctime moved when it
   * lost its name. If it has a name, it was not replaced but written to, or another program has linked it.
   * @throws FullNeeded, the system's error
   */
  async requireUnwritten(): Promise<void> {
    const stats = await this.handle.stat({ bigint: true })
    const isSame = withoutCtime(versionOf(stats)) === withoutCtime(this.version)
    if (stats.nlink > 0n || !isSame) throw new FullNeeded('packed-refs')
  }

  /** Closes it as soon as nothing is read from it. Never rejects: nothing was written to it. */
  async close(): Promise<void> {
    await this.handle.close().catch(() => {})
  }
}

const withoutCtime = (version: string): string => version.slice(0, version.lastIndexOf(':'))
