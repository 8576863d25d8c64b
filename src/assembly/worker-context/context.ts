import { join } from 'node:path'
import type { Registry } from 'prom-client'
import type { FleetEngine } from '../../fleet/engine.js'
import { WorkerEngine } from '../../fleet/engines/workers/worker-engine.js'
import type { Channel } from '../../fleet/engines/workers/channel.js'
import type { PassedSockets } from '../../server/passed-sockets.js'
import {
  nodeName,
  type MetricValues,
  type Order,
  type Place,
  type Report,
  type WorkerAnswer,
} from './messages.js'

/** What a worker is given by its primary. */
export interface WorkerContext {
  /** From 1 on. */
  readonly index: number
  readonly count: number
  /** Is it the first process of all that listens? */
  readonly isFirst: boolean
  /** Name of this worker's node. */
  readonly node: string
  /** All workers, this one included, and the Unix sockets where they listen for one another. */
  readonly members: readonly { readonly name: string; readonly path: string }[]
  /** The table in the primary. */
  readonly engine: FleetEngine
  /** As in `Place`. */
  readonly secret: string
  /** As in `Place`. */
  readonly passed: PassedSockets
  /**
   * Reports that this worker has no clients any more. Resolves when none has any: until then, siblings may be reading what
   * this one makes.
   */
  drained(): Promise<void>
  /**
   * Makes the metrics of this process part of those of the whole.
   * @returns resolves with the text of a scrape of the whole; to be called for each scrape
   */
  sumMetrics(registry: Registry): () => Promise<string>
  /**
   * Answers the questions of all workers, this one included.
   * @returns asks all workers; resolves with the answers of those that answer in time
   */
  shareAnswers(
    answer: (question: unknown) => Promise<unknown>,
  ): (question: object) => Promise<readonly WorkerAnswer[]>
}

/** @param channels the conversations with the primary */
export function workerContext(
  { index, count, isFirst, directory, secret, passed }: Place,
  channels: { readonly control: Channel; readonly fleet: Channel },
): WorkerContext {
  const names = Array.from({ length: count }, (_, at) => nodeName(at + 1))
  return {
    index,
    count,
    isFirst,
    node: nodeName(index),
    members: names.map((name) => ({ name, path: join(directory, `${name}.sock`) })),
    engine: new WorkerEngine({ channel: channels.fleet }),
    secret,
    passed,
    drained: () => drained(channels.control),
    sumMetrics: (registry) => sumMetrics(registry, channels.control),
    shareAnswers: (answer) => shareAnswers(answer, channels.control),
  }
}

function drained(control: Channel): Promise<void> {
  return new Promise((resolve) => {
    control.onMessage((message) => {
      if ((message as Order).kind === 'end') resolve()
    })
    control.onClose(resolve)
    control.send({ kind: 'drained' } satisfies Report)
  })
}

function sumMetrics(registry: Registry, control: Channel): () => Promise<string> {
  const scrapes = new Map<number, (text: string) => void>()
  let count = 0
  const tell = (report: Report): unknown => control.send(report)
  control.onMessage((message) => {
    const order = message as Order
    if (order.kind === 'scrape') {
      scrapes.get(order.id)?.(order.text)
      scrapes.delete(order.id)
    } else if (order.kind === 'metrics') {
      const { id } = order
      void registry
        .getMetricsAsJSON()
        .then((values) => tell({ kind: 'metrics', id, values: values as unknown as MetricValues[] }))
    }
  })
  return () =>
    new Promise((resolve) => {
      const id = ++count
      scrapes.set(id, resolve)
      tell({ kind: 'scrape', id })
    })
}

function shareAnswers(
  answer: (question: unknown) => Promise<unknown>,
  control: Channel,
): ReturnType<WorkerContext['shareAnswers']> {
  const waiting = new Map<number, (answers: readonly WorkerAnswer[]) => void>()
  let count = 0
  const tell = (report: Report): unknown => control.send(report)
  control.onMessage((message) => {
    const order = message as Order
    if (order.kind === 'answers') {
      waiting.get(order.id)?.(order.answers)
      waiting.delete(order.id)
    } else if (order.kind === 'ask') {
      const { id } = order
      // One that cannot be answered counts as one that is not answered in time.
      answer(order.question).then(
        (told) => tell({ kind: 'answer', id, answer: told }),
        () => {},
      )
    }
  })
  return (question) =>
    new Promise((resolve) => {
      const id = ++count
      waiting.set(id, resolve)
      tell({ kind: 'ask', id, question })
    })
}
