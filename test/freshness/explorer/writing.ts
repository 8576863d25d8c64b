import type { Scene, State } from './state.js'

/** The steps of writers, time limits and crashes, applied to a copy of a state. */
export class Writing {
  readonly state: State
  readonly #scene: Scene

  constructor(state: State, scene: Scene) {
    this.state = state
    this.#scene = scene
  }

  /** Does the next step of a writer's script. */
  goOn(index: number): void {
    const { state } = this
    const { steps, changed } = this.#scene.writers[index]!
    const { done, lease } = state.writers[index]!
    const covered = lease === 'open'
    const step = steps[done]
    state.writers[index] = { done: done + 1, lease: step === 'open' ? 'open' : lease }
    if (step === 'open') {
      state.leases.push(index)
      state.openings++
    } else if (step === 'end') {
      // If the lease is unknown (404), the writer invalidates: the generation grows as well.
      state.leases = state.leases.filter((open) => open !== index)
      if (changed) state.generation++
      state.writers[index] = { done: done + 1, lease: 'none' }
    } else {
      const value = step === 'undo' ? state.versions[0]!.value : state.versions.length
      state.versions.push({ value, writer: index, covered })
    }
  }

  /** Expires a lease, which counts as ended with a change. */
  expire(index: number): void {
    const { state } = this
    state.writers[index] = { ...state.writers[index]!, lease: 'expired' }
    if (!state.leases.includes(index)) return
    state.leases = state.leases.filter((open) => open !== index)
    if (this.#scene.fault !== 'keeps the generation at expiry') state.generation++
  }

  crash(): void {
    const { state } = this
    const { fault } = this.#scene
    state.crashes--
    state.readers = state.readers.map((reader) =>
      reader.is === 'away' || reader.is === 'answered' ? reader : { is: 'failed', from: 0 },
    )
    state.rounds = state.rounds.map(() => undefined)
    if (fault === 'forgets leases in a crash and keeps its boot id') state.generation = 0
    else state.boot++
    if (fault?.startsWith('forgets leases in a crash')) state.leases = []
  }
}
