import {
  hasEnded,
  keyOf,
  tokenOf,
  type Reader,
  type Scene,
  type ObservedState,
  type State,
  type Round,
} from './state.js'

/** The steps of readers and rounds, applied to a copy of a state. */
export class Reading {
  readonly state: State
  /** The rules that were violated. */
  readonly broken: string[] = []
  readonly #scene: Scene

  constructor(state: State, scene: Scene) {
    this.state = state
    this.#scene = scene
  }

  observe(): ObservedState {
    const { mode, fault } = this.#scene
    const { leases, openings } = this.state
    const settled = mode === 'observe' || leases.length === 0 || fault === 'ignores open leases'
    return {
      token: settled ? tokenOf(this.#scene, this.state) : undefined,
      openings: mode === 'observe' ? 0 : openings,
    }
  }

  /** Makes an observation that begins before the reader asks. */
  observeEarly(index: number, reader: Reader): void {
    this.state.readers[index] = { ...reader, observed: this.observe() }
  }

  ask(index: number, { observed = this.observe() }: Reader): void {
    const { versions, shown } = this.state
    const ended = versions.findLastIndex(({ writer }) => hasEnded(writer, this.state, this.#scene))
    this.state.readers[index] = { is: 'asking', from: Math.max(shown, ended), observed }
  }

  decide(index: number, reader: Reader): void {
    const key = keyOf(index)
    const { token, openings } = reader.observed!
    const entry = this.state.entries[key]
    const round = this.state.rounds[key]
    const wait = (is: 'gathered' | 'following'): void => {
      this.state.readers[index] = { is, from: reader.from }
    }
    if (token !== undefined && entry?.token === token) this.#answer(index, entry.value, 'a hit')
    else if (!round) {
      this.state.rounds[key] = { is: 'reading', observed: { token, openings } }
      wait('following')
    } else if (!this.#mayJoin(round, token)) wait('gathered')
    else if (round.value !== undefined) this.#answer(index, round.value, 'a fill')
    else wait('following')
  }

  #mayJoin({ is, observed }: Round, token: number | undefined): boolean {
    if (is === 'observing' || is === 'observed') return false
    return this.#scene.fault === 'joins any fill' || (token !== undefined && observed.token === token)
  }

  /** Does the next step of a key's round. */
  goOn(key: number, round: Round): void {
    const { rounds, entries, versions } = this.state
    const { token, openings } = round.observed
    const committed = entries[key]?.token === token ? entries[key] : undefined
    switch (round.is) {
      case 'observing':
        rounds[key] = { is: 'observed', observed: this.observe() }
        return
      case 'observed':
        if (!committed) rounds[key] = { is: 'reading', observed: round.observed }
        else {
          this.#answerAll(key, committed.value, 'a hit')
          this.#endRound(key)
        }
        return
      case 'reading': {
        const { value } = versions.at(-1)!
        rounds[key] = { is: 'read', observed: round.observed, value }
        this.#answerAll(key, value, 'a fill')
        return
      }
      case 'read': {
        if (token === undefined) return this.#endRound(key)
        const second = this.observe()
        const counts = this.#scene.fault !== 'confirms without counting openings'
        const same = second.token === token && !(counts && second.openings !== openings)
        if (same) rounds[key] = { ...round, is: 'confirmed' }
        else this.#endRound(key)
        return
      }
      case 'confirmed':
        if (committed) this.broken.push('a loser write')
        entries[key] = { token: token!, value: round.value! }
        return this.#endRound(key)
    }
  }

  #endRound(key: number): void {
    const { readers, rounds } = this.state
    rounds[key] = undefined
    if (this.#scene.fault === 'forgets gathered requests') return
    for (const [index, reader] of readers.entries()) {
      if (keyOf(index) !== key || reader.is !== 'gathered') continue
      readers[index] = { ...reader, is: 'following' }
      rounds[key] = { is: 'observing', observed: { token: undefined, openings: 0 } }
    }
  }

  #answerAll(key: number, value: number, by: string): void {
    for (const [index, { is }] of this.state.readers.entries()) {
      if (keyOf(index) === key && is === 'following') this.#answer(index, value, by)
    }
  }

  #answer(index: number, value: number, by: string): void {
    const { readers, versions, shown } = this.state
    const { from } = readers[index]!
    const version = versions.findIndex((one, age) => age >= from && one.value === value)
    if (version < 0) this.broken.push(`stale by ${by}`)
    const promised = versions.findLastIndex((one, age) => age <= version && this.#isPromised(one))
    this.state.shown = Math.max(shown, promised)
    readers[index] = { is: 'answered', from: 0 }
  }

  /** Once an answer has shown this version, may no later answer be older? */
  #isPromised({ covered, writer }: State['versions'][number]): boolean {
    return this.#scene.mode === 'observe' || covered || hasEnded(writer, this.state, this.#scene)
  }
}
