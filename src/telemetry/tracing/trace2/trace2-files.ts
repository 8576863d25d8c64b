import { mkdirSync } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The trace of one Git process and its children. */
export interface Trace2File {
  readonly path: string
  /** Reads the beginning of what was written, and removes the file. `isCut`: there was more. Never rejects. */
  take(): Promise<{ readonly text: string; readonly isCut: boolean }>
}

/** Most bytes of one file that are read; a fetch writes about 10 KB. */
export const trace2MaxBytes = 256 * 1024

/** A directory that only this user may enter, in which Git processes write their traces. */
export class Trace2Files {
  readonly #directory: string
  readonly #taken = new Set<Promise<unknown>>()

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** Makes the directory below the temporary one. @throws Error if it cannot be made */
  static async open(below = tmpdir()): Promise<Trace2Files> {
    return new Trace2Files(await mkdtemp(join(below, 'refstream-trace2-')))
  }

  /** Returns a file for Git to make; undefined: there is no place for it. @param name unique, and fit for a file name */
  fileFor(name: string): Trace2File | undefined {
    const directory = join(this.#directory, name)
    try {
      // It is removed with the file, so that what a process leaves running in the background cannot make the file again.
      mkdirSync(directory)
    } catch {
      return undefined
    }
    const path = join(directory, 'events')
    return {
      path,
      take: () => {
        const taken = take(path, directory)
        this.#taken.add(taken)
        void taken.then(() => this.#taken.delete(taken))
        return taken
      },
    }
  }

  /** Resolves when all that is being read has been, and the directory is gone. @throws Error if it cannot be removed */
  async close(): Promise<void> {
    await Promise.all(this.#taken)
    await rm(this.#directory, { recursive: true, force: true })
  }
}

async function take(path: string, directory: string): ReturnType<Trace2File['take']> {
  let taken = { text: '', isCut: false }
  try {
    taken = await readBeginning(path)
  } catch {
    // Git has written nothing, or the disk fails: the trace goes without.
  }
  await rm(directory, { recursive: true, force: true }).catch(() => {})
  return taken
}

async function readBeginning(path: string): Promise<{ text: string; isCut: boolean }> {
  const file = await open(path)
  try {
    const buffer = Buffer.alloc(trace2MaxBytes + 1)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
    const text = buffer.toString('utf8', 0, Math.min(bytesRead, trace2MaxBytes))
    return { text, isCut: bytesRead > trace2MaxBytes }
  } finally {
    await file.close()
  }
}
