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
  /** @param from `next` of the last answer; undefined: the reader begins */
  requests(from?: Cursors): Promise<RequestsSince>
}

/** The same of one process, as its siblings ask for it. */
export type StatusQuestion =
  { readonly asks: 'status' } | { readonly asks: 'requests'; readonly from?: Cursors | undefined }

export type StatusAnswer =
  | { readonly asks: 'status'; readonly status: Status }
  | { readonly asks: 'requests'; readonly requests: TailedRequests }

/** Puts the requests of all processes together. @param answers by process */
export function joinedRequests(answers: readonly (readonly [string, TailedRequests])[]): RequestsSince {
  return {
    requests: answers.flatMap(([, { requests }]) => requests).sort((a, b) => a.at - b.at),
    dropped: answers.reduce((sum, [, { dropped }]) => sum + dropped, 0),
    next: Object.fromEntries(answers.map(([name, { next }]) => [name, next])),
  }
}
