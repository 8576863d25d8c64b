import { statSync, type BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'

export interface WatchedFilesOptions {
  /** How often it is looked whether files have changed, in milliseconds. */
  readonly pollMs: number
  readonly reloaded: (what: string) => void
  /** What was read before stays in force. */
  readonly failed: (what: string, error: unknown) => void
}

interface Watched {
  readonly what: string
  readonly paths: readonly string[]
  readonly read: () => void
  /** Which files were read last, whether they could be used or not. */
  seen: string
}

/**
 * Files that are read again when they change, or when somebody says so. Their status is polled: a directory's events do
 * not tell that a link further up points elsewhere now, which is how Kubernetes and certbot change such files.
 */
export class WatchedFiles {
  readonly #options: WatchedFilesOptions
  readonly #watched: Watched[] = []
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined

  constructor(options: WatchedFilesOptions) {
    this.#options = options
  }

  /** Reads now. @param read throws if the files cannot be used, and then changes nothing */
  add(what: string, paths: readonly string[], read: () => void): void {
    // Looked at before it is read: what changes in between is read again.
    const seen = paths.map(identityNow).join('\n')
    read()
    this.#watched.push({ what, paths, read, seen })
    this.#timer ??= setInterval(() => void this.#look(), this.#options.pollMs).unref()
  }

  /** Reads all again, changed or not. */
  reload(): void {
    for (const watched of this.#watched) this.#read(watched)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): Promise<void> {
    return (this.#looking ??= this.#lookOnce().finally(() => (this.#looking = undefined)))
  }

  async #lookOnce(): Promise<void> {
    for (const watched of this.#watched) {
      const now = (await Promise.all(watched.paths.map(identity))).join('\n')
      if (now === watched.seen) continue
      watched.seen = now
      this.#read(watched)
    }
  }

  #read({ what, paths, read }: Watched): void {
    try {
      for (const path of paths) {
        if (!statSync(path).isFile())
          throw new Error(`${path} is no regular file: it is read at the start only`)
      }
      read()
    } catch (error) {
      this.#options.failed(what, error)
      return
    }
    this.#options.reloaded(what)
  }
}

/** Tells one state of a file from another; a file that is missing is one too. To read a pipe changes it. */
const identityOf = (stats: BigIntStats): string => {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats
  return (stats.isFIFO() ? [dev, ino] : [dev, ino, size, mtimeNs, ctimeNs]).join(' ')
}
const unreadable = (error: unknown): string => String((error as NodeJS.ErrnoException).code)

function identityNow(path: string): string {
  try {
    return identityOf(statSync(path, { bigint: true }))
  } catch (error) {
    return unreadable(error)
  }
}

async function identity(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(identityOf, unreadable)
}
