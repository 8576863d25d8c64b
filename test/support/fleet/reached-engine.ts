import type { FleetEngine } from '../../../src/fleet/engine.js'

/** How a node reaches the engine: `away`: operations fail; `mute`: they are done, and are not answered; `cut`: neither. */
export type Reach = 'up' | 'away' | 'mute' | 'cut'

/** An engine as one node reaches it. */
export class ReachedEngine {
  reach: Reach = 'up'
  /** Calls by name, in order. */
  readonly calls: string[] = []
  readonly #late: (() => void)[] = []
  readonly engine: FleetEngine

  constructor(engine: Partial<FleetEngine>) {
    this.engine = new Proxy(engine, {
      get: (target, name: keyof FleetEngine | 'then') => {
        // Or a promise would take it for another promise.
        if (name === 'then') return undefined
        const call = target[name]?.bind(target) as ((...args: unknown[]) => unknown) | undefined
        if (name === 'watch') return call ?? (() => () => {})
        if (name === 'close') return async () => {}
        return async (...args: unknown[]) => {
          this.calls.push(name)
          if (this.reach === 'away') throw new Error('the connection was refused')
          if (this.reach === 'cut') return new Promise(() => {})
          const answer = await (call ? call(...args) : [])
          if (this.reach !== 'mute') return answer
          return new Promise((resolve) => this.#late.push(() => resolve(answer)))
        }
      },
    }) as FleetEngine
  }

  /** Sends all answers that were held back. */
  answer(): void {
    this.reach = 'up'
    for (const send of this.#late.splice(0)) send()
  }
}
