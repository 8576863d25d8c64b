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

/** What may happen to slots. `pick` chooses among those to whom it can happen. */
export type Step =
  | { do: 'acquire'; class: ProcessClass; group: string; admitted: boolean }
  | { do: 'release'; pick: number; times: number }
  | { do: 'abort'; pick: number }
  | { do: 'pass'; ms: number }
  | { do: 'resize'; total: number }

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

/** A rule that did not hold. */
export class Violation extends Error {}

function must(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new Violation(rule)
}

const classes = ['fill', 'pass'] as const

/**
 * What is promised of slots, checked after each step against plain lists: every request that there was, in the order of
 * arrival, and what has become of it.
 */
export class ProcessLimiterModel {
  readonly #clock = new FakeClock()
  readonly #options: ProcessLimiterOptions
  readonly #slots: ProcessLimiter
  readonly #requests: Request[] = []
  /** What has come to requests since the last step, in its order. */
  #outcomes: Outcome[] = []
  readonly #events = { granted: 0, shed: 0, left: 0 }
  readonly #seen = { granted: 0, shed: 0, left: 0 }
  /** By class and waiting group: who had turns while it was ready and had none. */
  readonly #overtaken = new Map<string, Set<string>>()
  #total: number
  #resized = false

  constructor(options: Omit<ProcessLimiterOptions, 'clock' | 'events'>) {
    this.#options = options
    this.#total = options.total
    const events = {
      granted: () => this.#events.granted++,
      shed: () => this.#events.shed++,
      left: () => this.#events.left++,
    }
    this.#slots = new ProcessLimiter({ ...options, clock: this.#clock, events })
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
        must(request?.state !== 'waiting', 'who aborts leaves the queue at once')
        break
      }
      case 'pass':
        this.#clock.advance(step.ms)
        await this.#settle()
        break
      case 'resize':
        this.#total = step.total
        this.#resized = true
        this.#slots.total = step.total
        await this.#settle()
    }
    this.#check()
  }

  /** Releases what is out until nobody waits: whoever waited without a time limit or a signal has had a slot. */
  async finish(): Promise<void> {
    while (this.#are('running').length > 0) await this.take({ do: 'release', pick: 0, times: 1 })
    must(this.#are('waiting').length === 0, 'nobody waits forever')
    must(this.#clock.timers === 0, 'no timer is left')
  }

  async #acquire({ class: slotClass, group, admitted }: Step & { do: 'acquire' }): Promise<void> {
    const { waitMs, queueMax } = this.#options[slotClass]
    const controller = new AbortController()
    const deadline = this.#clock.now() + (admitted ? 4 : 1) * waitMs
    const request: Request = { class: slotClass, group, admitted, deadline, controller, state: 'new' }
    const mayRun = this.#mayRun(request)
    const line = this.#are('waiting').filter(
      (other) => other.class === slotClass && other.admitted === admitted,
    )
    const own = line.filter((other) => other.group === group).length
    const hasPlace = own < (admitted ? 4 : 1) * queueMax - line.length
    const question = { class: slotClass, group, admitted, signal: controller.signal }
    must((this.#slots.refusal(question) === undefined) === (mayRun || hasPlace), 'a refusal tells the truth')
    this.#requests.push(request)
    void this.#slots.acquire(question).then(
      (permit) => this.#outcomes.push({ request, permit }),
      (error: unknown) => this.#outcomes.push({ request, error }),
    )
    await turns(1)
    if (!mayRun) request.state = 'waiting'
    const outcome = this.#outcomes.at(-1)
    if (mayRun) must(outcome !== undefined && 'permit' in outcome, 'a free slot is granted at once')
    else if (hasPlace) must(outcome === undefined, 'it waits')
    else {
      must(outcome !== undefined && 'error' in outcome, 'it is shed')
      must((outcome.error as Overloaded).reason === 'queue-full', 'for the queue is full')
    }
    await this.#settle()
  }

  /** Takes over what has come to requests, and checks each against all that is known at that moment. */
  async #settle(): Promise<void> {
    await turns(1)
    const outcomes = this.#outcomes
    this.#outcomes = []
    for (const outcome of outcomes) {
      const { request } = outcome
      if ('permit' in outcome) this.#granted(request, outcome.permit)
      else this.#refused(request, outcome.error)
      must(getEventListeners(request.controller.signal, 'abort').length === 0, 'no listener is left')
      this.#forgetOvertaken()
    }
  }

  #granted(request: Request, permit: Permit): void {
    must(request.state === 'new' || request.state === 'waiting', 'granted once')
    must(this.#mayRun(request), 'a slot is granted within all limits')
    const ready = this.#are('waiting').filter((other) => this.#mayRun(other))
    if (request.state === 'waiting') {
      const first = this.#are('waiting').find(
        (other) => other.class === request.class && other.group === request.group,
      )
      must(first === request, 'first come, first served within a group')
      must(request.class === 'fill' || !ready.some((other) => other.class === 'fill'), 'fills come first')
      for (const other of ready) {
        if (other.class !== request.class || other.group === request.group) continue
        const key = `${other.class} ${other.group}`
        const overtakers = this.#overtaken.get(key) ?? new Set()
        this.#overtaken.set(key, overtakers)
        if (isFirst(this.#are('waiting'), other)) {
          must(!overtakers.has(request.group), 'no group has two turns while another waits for one')
          overtakers.add(request.group)
        }
      }
      this.#overtaken.delete(`${request.class} ${request.group}`)
    }
    request.state = 'running'
    request.permit = permit
    this.#seen.granted++
  }

  #refused(request: Request, error: unknown): void {
    must(request.state === 'waiting', 'refused once')
    request.state = 'over'
    if (error instanceof Overloaded) {
      this.#seen.shed++
      const { retryAfterSeconds: seconds, reason } = error
      must(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, 'told when to come again')
      if (reason === 'wait') must(this.#clock.now() >= request.deadline, 'not shed early')
    } else {
      this.#seen.left++
      must(request.controller.signal.reason === error, 'rejected with the reason')
    }
  }

  /** A group that is at its limit, or of which nobody waits, is not overtaken. */
  #forgetOvertaken(): void {
    for (const key of this.#overtaken.keys()) {
      const [slotClass, group] = key.split(' ')
      const waits = this.#are('waiting').some((each) => each.class === slotClass && each.group === group)
      const atLimit =
        this.#running(slotClass as ProcessClass, group) >= this.#options[slotClass as ProcessClass].perGroup
      if (!waits || atLimit) this.#overtaken.delete(key)
    }
  }

  #check(): void {
    for (const slotClass of classes) {
      must(this.#slots.running(slotClass) === this.#running(slotClass), 'all who run are counted')
      const waiting = this.#are('waiting').filter((request) => request.class === slotClass)
      must(this.#slots.waiting(slotClass) === waiting.length, 'all who wait are counted')
    }
    if (!this.#resized) must(this.#are('running').length <= this.#total, 'no more run than there are slots')
    const waiting = this.#are('waiting')
    must(!waiting.some((request) => this.#mayRun(request)), 'no slot is free while somebody may have it')
    must(!waiting.some(({ deadline }) => deadline <= this.#clock.now()), 'nobody waits too long')
    const lines = new Set(waiting.map((request) => request.class))
    must(this.#clock.timers === lines.size, 'one timer for each line in which somebody waits')
    must(JSON.stringify(this.#events) === JSON.stringify(this.#seen), 'every end is counted, once')
    const open = waiting.some(({ class: each, group }) => {
      return this.#running(each, group) < this.#options[each].perGroup
    })
    must(this.#slots.scarce === open, 'it is known whether more slots would help')
  }

  /** Do all limits leave room for it? */
  #mayRun(request: Request): boolean {
    const { class: slotClass, group } = request
    const kept = {
      fill: Math.max(1, Math.floor(this.#total / 4)),
      pass: Math.max(1, Math.floor(this.#total / 2)),
    }
    const own = this.#running(slotClass) < kept[slotClass]
    const shared =
      this.#are('running').length < this.#total &&
      this.#running(slotClass) < this.#total - kept[slotClass === 'fill' ? 'pass' : 'fill']
    return (own || shared) && this.#running(slotClass, group) < this.#options[slotClass].perGroup
  }

  #running(slotClass: ProcessClass, group?: string): number {
    const running = this.#are('running').filter((request) => request.class === slotClass)
    return running.filter((request) => group === undefined || request.group === group).length
  }

  #are(state: Request['state']): Request[] {
    return this.#requests.filter((request) => request.state === state)
  }
}

const pick = <T>(items: readonly T[], choice: number): T | undefined => items[choice % items.length]

const isFirst = (waiting: readonly Request[], one: Request): boolean =>
  waiting.find((other) => other.class === one.class && other.group === one.group) === one
