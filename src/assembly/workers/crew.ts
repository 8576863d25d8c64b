import type { Worker } from 'node:cluster'
import { serialize } from 'node:v8'
import type { Settings } from '../../config/options/options.js'
import { ConfigError } from '../../config/values/config-error.js'
import type { Channel } from '../../fleet/engines/workers/channel.js'
import { callAfter } from '../../limits/clock.js'
import type { Log } from '../../telemetry/log.js'
import type { PassedSockets } from '../../server/passed-sockets.js'
import { nodeName, type ListeningAt, type Order, type Report } from '../worker-context/messages.js'
import { Restarts } from './restarts.js'
import { topicOf } from './topics.js'

export interface CrewOptions {
  /** Those of the whole. */
  readonly settings: Settings
  /** As in `Place`. */
  readonly directory: string
  /** As in `Place`. */
  readonly secret: string
  /** As in `Place`. */
  readonly passed: PassedSockets
  readonly log: Log
  /** Starts a process of the worker's program. */
  readonly fork: () => Worker
  /** Called with the conversations of each process that has started. */
  readonly joined: (index: number, node: string, channels: Channels) => void
  /** Called when a worker has taken the place of one that had ended. */
  readonly restarted: () => void
  /** Called when no worker listens any more on sockets that a service manager had passed: they cannot be opened again. */
  readonly lost: () => void
}

export interface Channels {
  readonly control: Channel
  readonly fleet: Channel
}

/** Milliseconds that workers have for their exit when their time to drain is over; then they are killed. */
const exitMs = 5000

/** The worker processes: starts them, starts those again that end, and ends them. */
export class Crew {
  readonly #options: CrewOptions
  readonly #settings: string
  readonly #processes = new Map<number, Worker>()
  /** Cancel restarts that are due later. */
  readonly #pauses = new Set<() => void>()
  /** Processes that have no clients any more. */
  readonly #drained = new Set<Worker>()
  /** Processes that listen. Node closes a socket in the primary when no worker listens on it. */
  readonly #listening = new Set<Worker>()
  #isStopping = false
  #ended: () => void = () => {}

  constructor(options: CrewOptions) {
    const { settings } = options
    this.#options = options
    this.#settings = serialize(settings).toString('base64')
  }

  /**
   * Starts all workers: one, which finds mistakes and what other programs have left, and then the others.
   * @returns where they listen
   * @throws ConfigError, or another error, of a worker that cannot start; then none is left
   */
  async start(): Promise<ListeningAt> {
    const { workers: count } = this.#options.settings
    try {
      const at = await this.#run(1, true)
      await Promise.all(Array.from({ length: count - 1 }, (_, other) => this.#run(other + 2, false)))
      return at
    } catch (error) {
      this.#isStopping = true
      await this.#kill()
      throw error
    }
  }

  /** Sends something to all workers. */
  tell(order: Order): void {
    for (const worker of this.#processes.values()) topicOf(worker.process, 'control').send(order)
  }

  /** Has all workers drain, and then end: one may make what clients of another one read. Resolves when they have ended. */
  async stop(): Promise<void> {
    this.#isStopping = true
    for (const cancel of this.#pauses) cancel()
    const ended = new Promise<void>((resolve) => (this.#ended = resolve))
    this.tell({ kind: 'stop' })
    const { drainSeconds } = this.#options.settings
    const stopTimer = callAfter(drainSeconds * 1000 + exitMs, () => void this.#kill())
    if (this.#processes.size > 0) await ended
    stopTimer()
  }

  #endIfDrained(): void {
    const isDrained = [...this.#processes.values()].every((worker) => this.#drained.has(worker))
    if (this.#isStopping && isDrained) this.tell({ kind: 'end' })
  }

  async #kill(): Promise<void> {
    const ended = new Promise<void>((resolve) => (this.#ended = resolve))
    for (const worker of this.#processes.values()) worker.process.kill('SIGKILL')
    if (this.#processes.size > 0) await ended
  }

  /** Starts a worker, now and whenever it has ended. Resolves when it first listens. */
  #run(index: number, isFirst: boolean): Promise<ListeningAt> {
    const restarts = new Restarts()
    return new Promise((resolve, reject) => {
      const again = (how: object): void => {
        const waitMs = Math.round(restarts.ended())
        this.#options.log.error({ worker: index, ...how, waitMs }, 'a worker has ended; it is started again')
        const cancel = callAfter(waitMs, () => {
          this.#pauses.delete(cancel)
          this.#options.restarted()
          restarts.started()
          void this.#fork(index, false, () => {}).then(again)
        })
        this.#pauses.add(cancel)
      }
      let isListening = false
      restarts.started()
      const listening = (at: ListeningAt): void => {
        isListening = true
        resolve(at)
      }
      void this.#fork(index, isFirst, listening).then((how) => {
        if (isListening) again(how)
        else reject(errorOf(how))
      })
    })
  }

  /** Runs a process. Resolves when it has ended, unless the crew is being stopped. */
  #fork(index: number, isFirst: boolean, listening: (at: ListeningAt) => void): Promise<End> {
    const { directory, secret, passed, settings, fork, joined } = this.#options
    const worker = fork()
    this.#processes.set(index, worker)
    const [control, fleet] = [topicOf(worker.process, 'control'), topicOf(worker.process, 'fleet')]
    let failure: Report | undefined
    control.onMessage((message) => {
      const report = message as Report
      if (report.kind === 'started') {
        joined(index, nodeName(index), { control, fleet })
        const pretty = process.stdout.isTTY
        const place = { index, count: settings.workers, isFirst, directory, secret, passed, pretty }
        control.send({ kind: 'start', settings: this.#settings, place } satisfies Order)
      } else if (report.kind === 'listening') {
        this.#listening.add(worker)
        listening(report.at)
      } else if (report.kind === 'failed') failure = report
      else if (report.kind === 'drained') {
        this.#drained.add(worker)
        this.#endIfDrained()
      }
    })
    return new Promise((resolve) => {
      const ended = (end: End): void => {
        this.#processes.delete(index)
        this.#drained.delete(worker)
        const wasLast = this.#listening.delete(worker) && this.#listening.size === 0
        this.#endIfDrained()
        if (this.#processes.size === 0) this.#ended()
        if (wasLast && !this.#isStopping && Object.keys(passed).length > 0) this.#options.lost()
        if (!this.#isStopping) resolve({ ...end, ...(failure?.kind === 'failed' && failure) })
      }
      // What it has sent arrives before its channel is closed; the two events come in any order.
      let code: number | string | undefined
      let isClosed = false
      const check = (): void => {
        if (code !== undefined && isClosed) ended({ code })
      }
      // It could not be started at all.
      worker.once('error', ({ message }: Error) => ended({ code: message }))
      worker.process.once('exit', (exitCode: number | null, signal: string) => {
        code = exitCode ?? signal
        check()
      })
      control.onClose(() => {
        isClosed = true
        check()
      })
    })
  }
}

/** How a worker has ended. */
interface End {
  readonly code: number | string
  readonly mistakes?: readonly string[]
  readonly stack?: string
}

function errorOf({ code, mistakes, stack }: End): Error {
  if (mistakes) return new ConfigError(mistakes)
  return new Error(stack ?? `a worker has ended before it listened: ${code}`)
}
