import type { Tracing } from '../../../telemetry/tracing/tracing.js'
import { Observer, type ObjectsObservation, type Observation, type ObserverOptions } from './observer.js'

/** An observer that has a span for each wait for an observation. One of its own class: without traces, nothing is asked. */
export class TracedObserver extends Observer {
  readonly #tracing: Tracing

  constructor(options: ObserverOptions, tracing: Tracing) {
    super(options)
    this.#tracing = tracing
  }

  override observe(path: string): Promise<Observation | undefined> {
    return this.#tracing.span('observe', { 'refstream.observe.of': 'refs' }, () => super.observe(path))
  }

  override observeObjects(path: string): Promise<ObjectsObservation | undefined> {
    return this.#tracing.span('observe', { 'refstream.observe.of': 'objects' }, () =>
      super.observeObjects(path),
    )
  }
}
