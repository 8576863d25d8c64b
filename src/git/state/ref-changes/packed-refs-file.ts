import type { FileHandle } from 'node:fs/promises'
import type { OpenDirectory } from '../../filesystem/open-directory.js'
import { openRegularFile } from '../../filesystem/open-regular-file.js'
import type { PathGuard } from '../../filesystem/path-guard.js'
import { versionOf } from '../snapshot-memory.js'
import { FullNeeded } from './full-reason.js'

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
    let file
    try {
      file = await openRegularFile(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    if (!file) throw new FullNeeded('packed-refs')
    return new PackedRefsFile(file.handle, versionOf(file.stats))
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
