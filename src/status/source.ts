import type { Status } from './model.js'
import type { TailedRequest, TailedRequests } from './request-tail.js'

/** Where the next question of a reader of requests goes on, by process. */
export type Cursors = Readonly<Record<string, number>>

/** The requests of all processes since a reader's last question. */
export interface RequestsSince {
  /** In the order in which they ended. */
  readonly requests: readonly TailedRequest[]
  readonly dropped: number
  readonly next: Cursors
}

/** What is shown of the whole: of this process, or of all workers. */
export interface StatusSource {
  status(): Promise<Status>
  requests(question: RequestsQuestion): Promise<RequestsSince>
}

/** Which requests a reader asks for. */
export interface RequestsQuestion {
  /** `next` of the last answer; undefined: the reader begins. */
  readonly from?: Cursors | undefined
  /** A glob for the repository's path; undefined: any. */
  readonly repository?: string | undefined
  /** undefined: any. */
  readonly outcomes?: readonly string[] | undefined
}

/** The same of one process, as its siblings ask for it. */
export type StatusQuestion = { readonly asks: 'status' } | (RequestsQuestion & { readonly asks: 'requests' })

export type StatusAnswer =
  | { readonly asks: 'status'; readonly status: Status }
  | { readonly asks: 'requests'; readonly requests: TailedRequests }

/**
 * Puts the requests of all processes together.
 * @param answers by process
 * @param from those of the question: a process that has not answered is asked from there again
 */
export function joinedRequests(
  answers: readonly (readonly [string, TailedRequests])[],
  from: Cursors = {},
): RequestsSince {
  return {
    requests: answers.flatMap(([, { requests }]) => requests).sort((a, b) => a.at - b.at),
    dropped: answers.reduce((sum, [, { dropped }]) => sum + dropped, 0),
    next: { ...from, ...Object.fromEntries(answers.map(([name, { next }]) => [name, next])) },
  }
}
