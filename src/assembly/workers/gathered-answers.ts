import type { Channel } from '../../fleet/engines/workers/channel.js'
import { systemClock, type Clock } from '../../limits/clock.js'
import type { Order, Report, WorkerAnswer } from '../worker-context/messages.js'

/** Milliseconds in which a worker must answer. */
const answerMs = 1000

/**
 * Passes questions of one worker on to all workers, and their answers back; runs in the primary. A worker that does not answer
 * in time is left out.
 */
export class GatheredAnswers {
  readonly #clock: Clock
  readonly #workers = new Map<number, Channel>()
  /** Called with the answers that are waited for, by question and worker. */
  readonly #waiting = new Map<string, (answer: WorkerAnswer | undefined) => void>()
  #count = 0

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  /** Includes a worker that has started, until its channel is closed. */
  add(index: number, control: Channel): void {
    this.#workers.set(index, control)
    control.onMessage((message) => {
      const report = message as Report
      if (report.kind === 'answer')
        this.#waiting.get(`${report.id} ${index}`)?.({ worker: index, answer: report.answer })
      if (report.kind === 'ask') {
        const { id } = report
        void this.#gather(report.question).then((answers) =>
          control.send({ kind: 'answers', id, answers } satisfies Order),
        )
      }
    })
    control.onClose(() => {
      if (this.#workers.get(index) === control) this.#workers.delete(index)
    })
  }

  async #gather(question: unknown): Promise<WorkerAnswer[]> {
    const id = ++this.#count
    const answers = await Promise.all(
      [...this.#workers].map(([index, control]) => this.#ask(id, index, control, question)),
    )
    return answers.filter((answer) => answer !== undefined)
  }

  async #ask(
    id: number,
    index: number,
    control: Channel,
    question: unknown,
  ): Promise<WorkerAnswer | undefined> {
    const name = `${id} ${index}`
    let stop = (): void => {}
    const answer = await new Promise<WorkerAnswer | undefined>((resolve) => {
      const stopTimer = this.#clock.after(answerMs, () => resolve(undefined))
      const stopWatch = control.onClose(() => resolve(undefined))
      stop = () => {
        stopTimer()
        stopWatch()
      }
      this.#waiting.set(name, resolve)
      control.send({ kind: 'ask', id, question } satisfies Order)
    })
    stop()
    this.#waiting.delete(name)
    return answer
  }
}
