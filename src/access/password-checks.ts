import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { Overloaded } from '../limits/overloaded.js'
import { QueuePace } from '../limits/queue/queue-pace.js'
import { BcryptThread } from './bcrypt-thread.js'
import { PasswordQueue, type PasswordClient } from './password-queue.js'

/** A password to check. */
export interface PasswordCheck extends PasswordClient {
  readonly password: string
  readonly hash: string
  /** Is it the user's own hash? Else the check only takes its time. */
  readonly own: boolean
}

interface Waiting extends PasswordCheck {
  readonly done: (good: boolean) => void
  readonly failed: (error: unknown) => void
}

type Thread = Pick<BcryptThread, 'isBusy' | 'check' | 'close'>

/** How many right passwords are remembered as such, and for how many milliseconds after they were last used. */
const goodMax = 10_000
const goodMs = 3_600_000

/**
 * Compares passwords with bcrypt hashes, one at a time and beside the event loop. Those who wait take turns by address
 * and user. A password that was right lately does not wait among them: it has a thread of its own if the first is busy,
 * so that no flood of guesses holds up those who know theirs.
 */
export class PasswordChecks {
  readonly #queue: PasswordQueue<Waiting>
  readonly #known: PasswordQueue<Waiting>
  readonly #thread: Thread
  readonly #knownThread: Thread
  readonly #turnover = new QueuePace()
  readonly #checked: (good: boolean) => void
  /** Of no secret more is kept than a hash under a key of this process. */
  readonly #key = randomBytes(32)
  readonly #good = new LRUCache<string, true>({ max: goodMax, ttl: goodMs, updateAgeOnGet: true })

  /** @param queueMax most checks that wait @param checked told of each */
  constructor(
    queueMax: number,
    checked: (good: boolean) => void = () => {},
    makeThread: () => Thread = () => new BcryptThread(),
  ) {
    this.#thread = makeThread()
    this.#knownThread = makeThread()
    this.#queue = new PasswordQueue(queueMax)
    this.#known = new PasswordQueue(queueMax)
    this.#checked = checked
  }

  get waiting(): number {
    return this.#queue.size + this.#known.size
  }

  /** @throws Overloaded if too many wait */
  check(check: PasswordCheck): Promise<boolean> {
    return new Promise((done, failed) => {
      const queue = this.#good.get(this.#nameOf(check)) ? this.#known : this.#queue
      const now = performance.now()
      if (!queue.hasPlace(check)) {
        const seconds = this.#turnover.retryAfterSeconds(queue.size, now, Math.random())
        throw new Overloaded('queue-full', seconds)
      }
      if (this.#queue.size === 0) this.#turnover.start(now)
      queue.join({ ...check, done, failed })
      this.#next()
    })
  }

  async close(): Promise<void> {
    await Promise.all([this.#thread.close(), this.#knownThread.close()])
  }

  /** Lets run whose turn it is, where there is a thread. */
  #next(): void {
    if (!this.#thread.isBusy) this.#run(this.#thread, this.#known.next() ?? this.#nextUnknown())
    if (!this.#knownThread.isBusy) this.#run(this.#knownThread, this.#known.next())
  }

  #nextUnknown(): Waiting | undefined {
    if (this.#queue.size > 0) this.#turnover.advance(performance.now())
    return this.#queue.next()
  }

  #run(thread: Thread, waiting: Waiting | undefined): void {
    if (!waiting) return
    void thread
      .check(waiting.password, waiting.hash)
      .then((good) => {
        if (good && waiting.own) this.#good.set(this.#nameOf(waiting), true)
        this.#checked(good)
        waiting.done(good)
      }, waiting.failed)
      .then(() => this.#next())
  }

  #nameOf({ user, password, hash }: PasswordCheck): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([user, password, hash]))
      .digest('base64')
  }
}
