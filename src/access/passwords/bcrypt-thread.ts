import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** With this file's own extension: it may be compiled or not. */
const program = new URL(`./bcrypt-worker${extname(import.meta.url)}`, import.meta.url)

interface Check {
  readonly resolve: (isCorrect: boolean) => void
  readonly reject: (error: unknown) => void
}

/** A worker thread that compares passwords with bcrypt hashes, one at a time; started when it is first needed. */
export class BcryptThread {
  #worker: Worker | undefined
  #current: Check | undefined

  get isBusy(): boolean {
    return this.#current !== undefined
  }

  /**
   * Resolves with whether a password has this hash. Must not be called while the thread is busy.
   * @throws Error if the thread ends
   */
  check(password: string, hash: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#current = { resolve, reject }
      this.#worker ??= this.#start()
      this.#worker.postMessage({ password, hash })
    })
  }

  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(program)
    worker.unref()
    worker.on('message', (isCorrect: boolean) => this.#take()?.resolve(isCorrect))
    worker.on('error', (error) => {
      this.#worker = undefined
      this.#take()?.reject(error)
    })
    worker.on('exit', () => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      this.#take()?.reject(new Error('the thread that checks passwords has ended'))
    })
    return worker
  }

  #take(): Check | undefined {
    const check = this.#current
    this.#current = undefined
    return check
  }
}
