import type { PassedSockets } from '../../server/passed-sockets.js'

/** What the primary tells its workers. Settings are in V8's form, since JSON has none for all of their values. */
export type Order =
  | { readonly kind: 'start'; readonly settings: string; readonly place: Place }
  /** Asks for the values of all metrics. */
  | { readonly kind: 'metrics'; readonly id: number }
  /** The text of a scrape that the worker has asked for. */
  | { readonly kind: 'scrape'; readonly id: number; readonly text: string }
  /** Asks for an answer to a question of a worker. */
  | { readonly kind: 'ask'; readonly id: number; readonly question: unknown }
  /** The answers of all workers to a question of this one. */
  | { readonly kind: 'answers'; readonly id: number; readonly answers: readonly WorkerAnswer[] }
  | { readonly kind: 'reload' }
  /** Drain, report that, and end when `end` comes. */
  | { readonly kind: 'stop' }
  /** All workers have drained. */
  | { readonly kind: 'end' }

/** Where a worker stands among the others. */
export interface Place {
  /** From 1 on. */
  readonly index: number
  readonly count: number
  /** Is it the first process of all that listens? Then sockets that are there were left by another program. */
  readonly isFirst: boolean
  /** For the peers' Unix sockets; accessible to this user only. */
  readonly directory: string
  /** Random characters that all workers of this primary have, and no other program. */
  readonly secret: string
  /** Sockets that a service manager has opened, with the primary's descriptors, by which workers ask for them. */
  readonly passed: PassedSockets
  /** Does standard output go to a terminal? */
  readonly pretty: boolean
}

/** What a worker tells the primary. */
export type Report =
  | { readonly kind: 'started' }
  | { readonly kind: 'listening'; readonly at: ListeningAt }
  /** It cannot start. `mistakes`: those of a ConfigError; left out: another error, with its stack. */
  | { readonly kind: 'failed'; readonly mistakes?: readonly string[]; readonly stack?: string }
  | { readonly kind: 'metrics'; readonly id: number; readonly values: readonly MetricValues[] }
  | { readonly kind: 'scrape'; readonly id: number }
  /** Asks all workers. */
  | { readonly kind: 'ask'; readonly id: number; readonly question: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  /** It has no clients any more. */
  | { readonly kind: 'drained' }

/** What a worker has answered, as JSON can hold it. */
export interface WorkerAnswer {
  /** From 1 on. */
  readonly worker: number
  readonly answer: unknown
}

export interface ListeningAt {
  readonly url: string
  readonly adminUrl: string
  readonly grpcTarget?: string | undefined
}

/** A metric with its values, as prom-client writes them to JSON. */
export interface MetricValues {
  readonly name: string
  readonly help: string
  readonly type: unknown
  readonly aggregator: string
  readonly values: readonly {
    readonly value: number
    readonly labels: Readonly<Record<string, string | number | undefined>>
    readonly metricName?: string
  }[]
}

/** Returns the name of a worker's node. A worker that takes the place of another one has its name. */
export const nodeName = (index: number): string => `w${index}`
