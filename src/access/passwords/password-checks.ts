import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { Overloaded } from '../../limits/overloaded.js'
import { QueuePace } from '../../limits/queue/queue-pace.js'
import { BcryptThread } from './bcrypt-thread.js'
import { PasswordQueue, type PasswordClient } from './password-queue.js'
import { entriesAtMost } from '../../limits/entries-at-most.js'

/** A password to check. */
export interface PasswordCheck extends PasswordClient {
  readonly password: string
  readonly hash: string
  /** The hash is the user's own. Otherwise the check only takes its time, so that unknown names cannot be told. */
  readonly own: boolean
}

interface QueuedCheck extends PasswordCheck {
  readonly resolve: (isCorrect: boolean) => void
  readonly reject: (error: unknown) => void
}

type Thread = Pick<BcryptThread, 'isBusy' | 'check' | 'close'>

/** Most correct passwords that are remembered as such, and milliseconds after their last use for which they are. */
const recentMax = 10_000
const recentMs = 3_600_000

/**
 * Compares passwords with bcrypt hashes, one at a time and off the event loop. Queued checks take turns by address and
 * user. Passwords that were correct lately have a queue of their own, and a second thread that is only for them, so that a
 * flood of guesses does not delay users who know their passwords.
 */
export class PasswordChecks {
  readonly #queue: PasswordQueue<QueuedCheck>
  readonly #recentQueue: PasswordQueue<QueuedCheck>
  readonly #thread: Thread
  readonly #recentThread: Thread
  readonly #pace = new QueuePace()
  readonly #checked: (isCorrect: boolean) => void
  /** Of passwords only a hash under this key is kept. */
  readonly #hashKey = randomBytes(32)
  readonly #recent = new LRUCache<string, true>({
    ...entriesAtMost(recentMax),
    ttl: recentMs,
    updateAgeOnGet: true,
  })

  /** @param queueMax most checks in each queue @param checked called after each check */
  constructor(
    queueMax: number,
    checked: (isCorrect: boolean) => void = () => {},
    makeThread: () => Thread = () => new BcryptThread(),
  ) {
    this.#thread = makeThread()
    this.#recentThread = makeThread()
    this.#queue = new PasswordQueue(queueMax)
    this.#recentQueue = new PasswordQueue(queueMax)
    this.#checked = checked
  }

  /** @throws Overloaded if the queue is full */
  check(check: PasswordCheck): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const queue = this.#recent.get(this.#keyOf(check)) ? this.#recentQueue : this.#queue
      const now = performance.now()
      if (!queue.hasPlace(check)) {
        const seconds = this.#pace.retryAfterSeconds(queue.size, now, Math.random())
        throw new Overloaded('queue-full', seconds)
      }
      if (this.#queue.size === 0) this.#pace.start(now)
      queue.join({ ...check, resolve, reject })
      this.#runNext()
    })
  }

  async close(): Promise<void> {
    await Promise.all([this.#thread.close(), this.#recentThread.close()])
  }

  /** Starts the next check on each thread that is idle. */
  #runNext(): void {
    if (!this.#thread.isBusy) this.#run(this.#thread, this.#recentQueue.next() ?? this.#nextUnknown())
    if (!this.#recentThread.isBusy) this.#run(this.#recentThread, this.#recentQueue.next())
  }

  #nextUnknown(): QueuedCheck | undefined {
    if (this.#queue.size > 0) this.#pace.advance(performance.now())
    return this.#queue.next()
  }

  #run(thread: Thread, queued: QueuedCheck | undefined): void {
    if (!queued) return
    void thread
      .check(queued.password, queued.hash)
      .then((isCorrect) => {
        if (isCorrect && queued.own) this.#recent.set(this.#keyOf(queued), true)
        this.#checked(isCorrect)
        queued.resolve(isCorrect)
      }, queued.reject)
      .then(() => this.#runNext())
  }

  #keyOf({ user, password, hash }: PasswordCheck): string {
    return createHmac('sha256', this.#hashKey)
      .update(JSON.stringify([user, password, hash]))
      .digest('base64')
  }
}
