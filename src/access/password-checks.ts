import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Line, type Waiter } from '../limits/line.js'
import { Overloaded } from '../limits/overloaded.js'

interface Check extends Waiter {
  readonly password: string
  readonly hash: string
  readonly done: (good: boolean) => void
  readonly failed: (error: unknown) => void
}

/** This file's own kind: what runs may be compiled or not. */
const program = new URL(`./bcrypt-worker${extname(import.meta.url)}`, import.meta.url)

/**
 * Compares passwords with bcrypt hashes, one at a time and beside the event loop. Those who wait take turns by group
 * (limits/line.ts), so that who guesses passwords holds up himself more than others.
 */
export class PasswordChecks {
  readonly #line: Line<Check>
  readonly #checked: (good: boolean) => void
  #worker: Worker | undefined
  #current: Check | undefined

  /** @param queueMax most checks that wait @param checked told of each */
  constructor(queueMax: number, checked: (good: boolean) => void = () => {}) {
    this.#line = new Line(1, queueMax)
    this.#checked = checked
  }

  get waiting(): number {
    return this.#line.waiting
  }

  /** @throws Overloaded if too many wait */
  check(password: string, hash: string, group: string): Promise<boolean> {
    return new Promise((done, failed) => {
      const check: Check = { group, admitted: false, password, hash, done, failed }
      if (!this.#line.hasPlace(check)) {
        throw new Overloaded('queue-full', this.#line.retryAfterSeconds(performance.now(), Math.random()))
      }
      this.#line.join(check, performance.now())
      this.#next()
    })
  }

  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #next(): void {
    if (this.#current) return
    const check = this.#line.next(performance.now())
    if (!check) return
    this.#current = check
    const { password, hash } = check
    this.#worker ??= this.#start()
    this.#worker.postMessage({ password, hash })
  }

  #start(): Worker {
    const worker = new Worker(program)
    worker.unref()
    worker.on('message', (good: boolean) => {
      this.#checked(good)
      this.#end()?.done(good)
      this.#next()
    })
    worker.on('error', (error) => {
      this.#worker = undefined
      this.#end()?.failed(error)
      this.#next()
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
    if (check) this.#line.exit(check.group)
    return check
  }
}
