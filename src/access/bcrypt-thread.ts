import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** This file's own kind: what runs may be compiled or not. */
const program = new URL(`./bcrypt-worker${extname(import.meta.url)}`, import.meta.url)

interface Check {
  readonly done: (good: boolean) => void
  readonly failed: (error: unknown) => void
}

/** A thread beside the event loop that compares passwords with bcrypt hashes, one at a time; started when it is needed. */
export class BcryptThread {
  #worker: Worker | undefined
  #current: Check | undefined

  get isBusy(): boolean {
    return this.#current !== undefined
  }

  /** Resolves with whether it is the password; call it only while the thread is not busy. @throws if the thread ends */
  check(password: string, hash: string): Promise<boolean> {
    return new Promise((done, failed) => {
      this.#current = { done, failed }
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
    worker.on('message', (good: boolean) => this.#end()?.done(good))
    worker.on('error', (error) => {
      this.#worker = undefined
      this.#end()?.failed(error)
    })
    worker.on('exit', () => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      this.#end()?.failed(new Error('passwords are not checked any more'))
    })
    return worker
  }

  #end(): Check | undefined {
    const check = this.#current
    this.#current = undefined
    return check
  }
}
