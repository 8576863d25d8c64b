import { statSync, type BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'

export interface WatchedFilesOptions {
  /** Milliseconds between two polls. */
  readonly pollMs: number
  readonly reloaded: (what: string) => void
  /** Called if changed files cannot be used. The content read before stays in force. */
  readonly failed: (what: string, error: unknown) => void
}

interface Watched {
  readonly what: string
  readonly paths: readonly string[]
  readonly read: () => void
  /** Identity of the files that were read last, whether they could be used or not. */
  identity: string
}

/**
 * Reads files again when they change, and on request. Polls their status, since a directory's events (inotify) do not
 * report that a symbolic link further up points elsewhere now, which is how Kubernetes and certbot replace such files.
 */
export class WatchedFiles {
  readonly #options: WatchedFilesOptions
  readonly #watched: Watched[] = []
  #timer: NodeJS.Timeout | undefined
  #polling: Promise<void> | undefined

  constructor(options: WatchedFilesOptions) {
    this.#options = options
  }

  /** Reads the files now. @param read throws if the files cannot be used, and then must change nothing */
  add(what: string, paths: readonly string[], read: () => void): void {
    // Taken before the read: a change in between is read at the next poll.
    const identity = paths.map(identityNow).join('\n')
    read()
    this.#watched.push({ what, paths, read, identity })
    this.#timer ??= setInterval(() => void this.#poll(), this.#options.pollMs).unref()
  }

  /** Reads all files again, changed or not. */
  reload(): void {
    for (const watched of this.#watched) this.#read(watched)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** Single flight: a poll that takes longer than the interval is not overtaken. */
  #poll(): Promise<void> {
    return (this.#polling ??= this.#readChanged().finally(() => (this.#polling = undefined)))
  }

  async #readChanged(): Promise<void> {
    for (const watched of this.#watched) {
      const now = (await Promise.all(watched.paths.map(identityOfPath))).join('\n')
      if (now === watched.identity) continue
      watched.identity = now
      this.#read(watched)
    }
  }

  #read({ what, paths, read }: Watched): void {
    try {
      for (const path of paths) {
        if (!statSync(path).isFile())
          throw new Error(`${path} is not a regular file; it is read at the start only`)
      }
      read()
    } catch (error) {
      this.#options.failed(what, error)
      return
    }
    this.#options.reloaded(what)
  }
}

/** Identifies one state of a file. Of a pipe, size and times are left out: reading it changes them. */
const identityOf = (stats: BigIntStats): string => {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats
  return (stats.isFIFO() ? [dev, ino] : [dev, ino, size, mtimeNs, ctimeNs]).join(' ')
}

/** A missing file is a state too. */
const unreadable = (error: unknown): string => String((error as NodeJS.ErrnoException).code)

function identityNow(path: string): string {
  try {
    return identityOf(statSync(path, { bigint: true }))
  } catch (error) {
    return unreadable(error)
  }
}

async function identityOfPath(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(identityOf, unreadable)
}
