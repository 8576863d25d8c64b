import { repositoryMatcher } from '../../config/values/repository-glob.js'
import type { Activity } from '../../status/activity.js'
import type { TailedRequest, TailedRequests } from '../../status/request-tail.js'
import { mergeStatuses } from '../../status/merge.js'
import type { Status } from '../../status/model.js'
import {
  joinedRequests,
  type RequestsQuestion,
  type RequestsSince,
  type StatusAnswer,
  type StatusQuestion,
  type StatusSource,
} from '../../status/source.js'
import type { WorkerContext } from '../worker-context/context.js'
import type { OwnStatus } from './own-status.js'

/** The name of a process that is alone. */
const alone = '0'
/** Most requests in an answer of each process, and milliseconds in which they are found: the event loop waits meanwhile. */
const requestsMax = 1000
const searchMs = 5

/** The status of this process, or of all workers if it is one. Questions that come while one is answered get its answer. */
export class WholeStatus implements StatusSource {
  readonly #own: OwnStatus
  readonly #activity: Activity
  readonly #expected: number
  readonly #name: string
  /** Asks all workers; undefined: this process is alone. */
  readonly #ask: ReturnType<WorkerContext['shareAnswers']> | undefined
  #making: Promise<Status> | undefined

  constructor(own: OwnStatus, activity: Activity, worker: WorkerContext | undefined) {
    this.#own = own
    this.#activity = activity
    this.#expected = worker?.count ?? 1
    this.#name = worker ? String(worker.index) : alone
    this.#ask = worker?.shareAnswers((question) => this.#answer(question as StatusQuestion))
  }

  status(): Promise<Status> {
    this.#making ??= this.#make().finally(() => (this.#making = undefined))
    return this.#making
  }

  async #make(): Promise<Status> {
    const answers = await this.#ask?.({ asks: 'status' } satisfies StatusQuestion)
    const all = (answers ?? []).flatMap(({ worker, answer }) => {
      const told = answer as StatusAnswer
      return told.asks === 'status' ? [{ worker, status: told.status }] : []
    })
    // What a worker knows of itself is shown even if the primary does not answer.
    return all.length > 0 ? mergeStatuses(all, this.#expected) : this.#own.make()
  }

  async requests(question: RequestsQuestion): Promise<RequestsSince> {
    if (!this.#ask) return joinedRequests([[this.#name, this.#read(question)]])
    const answers = await this.#ask({ asks: 'requests', ...question } satisfies StatusQuestion)
    const parts = answers.flatMap(({ worker, answer }) => {
      const told = answer as StatusAnswer
      return told.asks === 'requests' ? [[String(worker), told.requests] as const] : []
    })
    return joinedRequests(parts, question.from)
  }

  async #answer(question: StatusQuestion): Promise<StatusAnswer> {
    if (question.asks === 'status') return { asks: 'status', status: await this.#own.make() }
    return { asks: 'requests', requests: this.#read(question) }
  }

  #read({ from, repository, outcomes }: RequestsQuestion): TailedRequests {
    const wanted = outcomes && new Set(outcomes)
    const matches = repository === undefined ? undefined : repositoryMatcher(repository)
    const is = ({ repository: path, outcome }: TailedRequest): boolean => {
      if (wanted && !wanted.has(outcome)) return false
      return !matches || (path !== undefined && matches({ path, refersTo: () => true }))
    }
    return this.#activity.tail.read(from?.[this.#name], { max: requestsMax, forMs: searchMs, is })
  }
}
