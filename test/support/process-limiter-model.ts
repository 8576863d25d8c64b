import { getEventListeners } from 'node:events'
import { Overloaded } from '../../src/limits/overloaded.js'
import {
  ProcessLimiter,
  type Permit,
  type ProcessClass,
  type ProcessLimiterOptions,
} from '../../src/limits/process/process-limiter.js'
import { FakeClock } from './fake-clock.js'
import { turns } from './producers.js'

/** What may happen to a limiter. `pick` is an index into the requests to which it can happen. */
export type Step =
  | { do: 'acquire'; class: ProcessClass; group: string; admitted: boolean }
  | { do: 'release'; pick: number; times: number }
  | { do: 'abort'; pick: number }
  | { do: 'pass'; ms: number }
  | { do: 'resize'; limit: number }

interface Request {
  readonly class: ProcessClass
  readonly group: string
  readonly admitted: boolean
  readonly deadline: number
  readonly controller: AbortController
  state: 'new' | 'waiting' | 'running' | 'over'
  permit?: Permit
}

type Outcome = { request: Request; permit: Permit } | { request: Request; error: unknown }

/** A rule that was violated. */
export class Violation extends Error {}

function must(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new Violation(rule)
}

/** In the order in which a free permit is offered. */
const classes = ['fill', 'pack', 'pass'] as const

/**
 * Checks the rules of a ProcessLimiter after each step against a plain list: every request so far, in the order of
 * arrival, with its state.
 */
export class ProcessLimiterModel {
  readonly #clock = new FakeClock()
  readonly #options: ProcessLimiterOptions
  readonly #limiter: ProcessLimiter
  readonly #requests: Request[] = []
  /** How requests have ended since the last step, in order. */
  #outcomes: Outcome[] = []
  readonly #events = { granted: 0, shed: 0, aborted: 0 }
  readonly #seen = { granted: 0, shed: 0, aborted: 0 }
  /** By class and waiting group: the groups that were served while it was eligible and was not served. */
  readonly #overtaken = new Map<string, Set<string>>()
  #limit: number
  #resized = false

  constructor(options: Omit<ProcessLimiterOptions, 'clock' | 'events'>) {
    this.#options = options
    this.#limit = options.limit
    const events = {
      granted: () => this.#events.granted++,
      shed: () => this.#events.shed++,
      aborted: () => this.#events.aborted++,
    }
    this.#limiter = new ProcessLimiter({ ...options, clock: this.#clock, events })
  }

  /** @throws Violation */
  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'acquire':
        await this.#acquire(step)
        break
      case 'release': {
        const request = pick(this.#are('running'), step.pick)
        for (let time = 0; time < step.times; time++) request?.permit?.release()
        if (request) request.state = 'over'
        await this.#settle()
        break
      }
      case 'abort': {
        const request = pick([...this.#are('waiting'), ...this.#are('running')], step.pick)
        request?.controller.abort(new Error('left'))
        await this.#settle()
        must(request?.state !== 'waiting', 'a request that is aborted leaves the queue at once')
        break
      }
      case 'pass':
        this.#clock.advance(step.ms)
        await this.#settle()
        break
      case 'resize':
        this.#limit = step.limit
        this.#resized = true
        this.#limiter.limit = step.limit
        await this.#settle()
    }
    this.#check()
  }

  /** Releases permits until no request waits: each that waited has had a permit, unless it expired or was aborted. */
  async finish(): Promise<void> {
    while (this.#are('running').length > 0) await this.take({ do: 'release', pick: 0, times: 1 })
    must(this.#are('waiting').length === 0, 'no request waits forever')
    must(this.#clock.timers === 0, 'no timer is left')
  }

  async #acquire({ class: processClass, group, admitted }: Step & { do: 'acquire' }): Promise<void> {
    const { waitMs, queueMax } = this.#options[processClass]
    const controller = new AbortController()
    const kept = admitted && processClass === 'pack'
    const deadline = kept ? Infinity : this.#clock.now() + (admitted ? 4 : 1) * waitMs
    const request: Request = { class: processClass, group, admitted, deadline, controller, state: 'new' }
    const mayRun = this.#mayRun(request)
    const peers = this.#are('waiting').filter(
      (other) => other.class === processClass && other.admitted === admitted,
    )
    const own = peers.filter((other) => other.group === group).length
    const hasPlace = own < (admitted ? 4 : 1) * queueMax - peers.length
    const permitRequest = { class: processClass, group, admitted, signal: controller.signal }
    must(
      (this.#limiter.rejection(permitRequest) === undefined) === (mayRun || hasPlace),
      'rejection() is right',
    )
    this.#requests.push(request)
    void this.#limiter.acquire(permitRequest).then(
      (permit) => this.#outcomes.push({ request, permit }),
      (error: unknown) => this.#outcomes.push({ request, error }),
    )
    await turns(1)
    if (!mayRun) request.state = 'waiting'
    const outcome = this.#outcomes.at(-1)
    if (mayRun) must(outcome !== undefined && 'permit' in outcome, 'a free permit is granted at once')
    else if (hasPlace || kept) must(outcome === undefined, 'it waits')
    else {
      must(outcome !== undefined && 'error' in outcome, 'it is shed')
      must((outcome.error as Overloaded).reason === 'queue-full', 'it is shed because the queue is full')
    }
    await this.#settle()
  }

  /** Records how requests have ended, and checks each against all that is known at that moment. */
  async #settle(): Promise<void> {
    await turns(1)
    const outcomes = this.#outcomes
    this.#outcomes = []
    for (const outcome of outcomes) {
      const { request } = outcome
      if ('permit' in outcome) this.#granted(request, outcome.permit)
      else this.#rejected(request, outcome.error)
      must(getEventListeners(request.controller.signal, 'abort').length === 0, 'no listener is left')
      this.#forgetOvertaken()
    }
  }

  #granted(request: Request, permit: Permit): void {
    must(request.state === 'new' || request.state === 'waiting', 'granted once')
    must(this.#mayRun(request), 'a permit is granted within all limits')
    const ready = this.#are('waiting').filter((other) => this.#mayRun(other))
    if (request.state === 'waiting') {
      const first = this.#are('waiting').find(
        (other) => other.class === request.class && other.group === request.group,
      )
      must(first === request, 'first come, first served within a group')
      must(
        ready.every((other) => classes.indexOf(request.class) <= classes.indexOf(other.class)),
        'fills are served first, then packs',
      )
      for (const other of ready) {
        if (other.class !== request.class || other.group === request.group) continue
        const key = `${other.class} ${other.group}`
        const overtakers = this.#overtaken.get(key) ?? new Set()
        this.#overtaken.set(key, overtakers)
        if (isFirst(this.#are('waiting'), other)) {
          must(
            !overtakers.has(request.group),
            'no group is served twice while another waits to be served once',
          )
          overtakers.add(request.group)
        }
      }
      this.#overtaken.delete(`${request.class} ${request.group}`)
    }
    request.state = 'running'
    request.permit = permit
    this.#seen.granted++
  }

  #rejected(request: Request, error: unknown): void {
    must(request.state === 'waiting', 'rejected once')
    request.state = 'over'
    if (error instanceof Overloaded) {
      this.#seen.shed++
      must(request.class !== 'pack' || !request.admitted, 'the pack of an admitted client is never shed')
      const { retryAfterSeconds: seconds, reason } = error
      must(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, 'Retry-After is from 1 to 60 seconds')
      if (reason === 'wait') must(this.#clock.now() >= request.deadline, 'not shed early')
    } else {
      this.#seen.aborted++
      must(request.controller.signal.reason === error, 'rejected with the reason')
    }
  }

  /** A group at its limit, or without waiters, is not overtaken. */
  #forgetOvertaken(): void {
    for (const key of this.#overtaken.keys()) {
      const [processClass, group] = key.split(' ') as [ProcessClass, string]
      const waits = this.#are('waiting').some((each) => each.class === processClass && each.group === group)
      const atLimit = this.#running(processClass, group) >= this.#perGroup(processClass)
      if (!waits || atLimit) this.#overtaken.delete(key)
    }
  }

  #check(): void {
    for (const processClass of classes) {
      must(
        this.#limiter.running(processClass) === this.#running(processClass),
        'all running requests are counted',
      )
      const waiting = this.#are('waiting').filter((request) => request.class === processClass)
      must(this.#limiter.waiting(processClass) === waiting.length, 'all waiting requests are counted')
    }
    if (!this.#resized) must(this.#are('running').length <= this.#limit, 'no more run than the limit allows')
    must(this.#running('pack') <= this.#options.pack.most, 'no more packs run than their maximum')
    const waiting = this.#are('waiting')
    must(
      !waiting.some((request) => this.#mayRun(request)),
      'no permit is free while a request is eligible for it',
    )
    must(!waiting.some(({ deadline }) => deadline <= this.#clock.now()), 'no request waits too long')
    const timed = new Set(waiting.filter(({ deadline }) => deadline < Infinity).map((each) => each.class))
    must(this.#clock.timers === timed.size, 'one timer for each queue in which a request has a time limit')
    must(JSON.stringify(this.#events) === JSON.stringify(this.#seen), 'every outcome is reported, once')
    const open = waiting.some(
      ({ class: each, group }) =>
        this.#running(each, group) < this.#perGroup(each) && this.#running(each) < this.#most(each),
    )
    must(this.#limiter.scarce === open, '`scarce` tells whether a greater limit would help')
  }

  /** Do all limits allow it to run? */
  #mayRun(request: Request): boolean {
    const { class: processClass, group } = request
    const open = (each: ProcessClass): number => Math.max(0, this.#reserved(each) - this.#running(each))
    const reserved = classes.reduce((sum, each) => sum + open(each), 0)
    const free = open(processClass) > 0 || this.#are('running').length + reserved < this.#limit
    return (
      free &&
      this.#running(processClass) < this.#most(processClass) &&
      this.#running(processClass, group) < this.#perGroup(processClass)
    )
  }

  #reserved(processClass: ProcessClass): number {
    const quarter = Math.max(1, Math.floor(this.#limit / 4))
    const pack = Math.min(quarter, this.#options.pack.most)
    return { fill: quarter, pack, pass: Math.max(1, Math.floor(this.#limit / 2) - pack) }[processClass]
  }

  #most(processClass: ProcessClass): number {
    return processClass === 'pack' ? this.#options.pack.most : Infinity
  }

  #perGroup(processClass: ProcessClass): number {
    return processClass === 'pack' ? this.#options.pack.most : this.#options[processClass].perGroup
  }

  #running(processClass: ProcessClass, group?: string): number {
    const running = this.#are('running').filter((request) => request.class === processClass)
    return running.filter((request) => group === undefined || request.group === group).length
  }

  #are(state: Request['state']): Request[] {
    return this.#requests.filter((request) => request.state === state)
  }
}

const pick = <T>(items: readonly T[], choice: number): T | undefined => items[choice % items.length]

const isFirst = (waiting: readonly Request[], one: Request): boolean =>
  waiting.find((other) => other.class === one.class && other.group === one.group) === one
