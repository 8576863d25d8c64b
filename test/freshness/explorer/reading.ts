import {
  hasEnded,
  keyOf,
  tokenOf,
  type Reader,
  type Scene,
  type Sight,
  type State,
  type Turn,
} from './state.js'

/** What readers and turns do, on a state in the making. */
export class Reading {
  readonly state: State
  /** Rules that were broken on the way. */
  readonly broken: string[] = []
  readonly #scene: Scene

  constructor(state: State, scene: Scene) {
    this.state = state
    this.#scene = scene
  }

  see(): Sight {
    const { mode, fault } = this.#scene
    const { leases, openings } = this.state
    const settled = mode === 'observe' || leases.length === 0 || fault === 'is blind to open leases'
    return {
      token: settled ? tokenOf(this.#scene, this.state) : undefined,
      openings: mode === 'observe' ? 0 : openings,
    }
  }

  /** A look that began before the reader asked. */
  lookEarly(index: number, reader: Reader): void {
    this.state.readers[index] = { ...reader, sight: this.see() }
  }

  ask(index: number, { sight = this.see() }: Reader): void {
    const { versions, shown } = this.state
    const ended = versions.findLastIndex(({ writer }) => hasEnded(writer, this.state, this.#scene))
    this.state.readers[index] = { is: 'asking', from: Math.max(shown, ended), sight }
  }

  decide(index: number, reader: Reader): void {
    const key = keyOf(index)
    const { token, openings } = reader.sight!
    const entry = this.state.entries[key]
    const turn = this.state.turns[key]
    const wait = (is: 'gathered' | 'following'): void => {
      this.state.readers[index] = { is, from: reader.from }
    }
    if (token !== undefined && entry?.token === token) this.#answer(index, entry.value, 'a hit')
    else if (!turn) {
      this.state.turns[key] = { is: 'reading', sight: { token, openings } }
      wait('following')
    } else if (!this.#mayJoin(turn, token)) wait('gathered')
    else if (turn.value !== undefined) this.#answer(index, turn.value, 'a fill')
    else wait('following')
  }

  #mayJoin({ is, sight }: Turn, token: number | undefined): boolean {
    if (is === 'looking' || is === 'looked') return false
    return this.#scene.fault === 'joins whatever runs' || (token !== undefined && sight.token === token)
  }

  /** The next step of a key's turn. */
  goOn(key: number, turn: Turn): void {
    const { turns, entries, versions } = this.state
    const { token, openings } = turn.sight
    const committed = entries[key]?.token === token ? entries[key] : undefined
    switch (turn.is) {
      case 'looking':
        turns[key] = { is: 'looked', sight: this.see() }
        return
      case 'looked':
        if (!committed) turns[key] = { is: 'reading', sight: turn.sight }
        else {
          this.#answerAll(key, committed.value, 'a hit')
          this.#endTurn(key)
        }
        return
      case 'reading': {
        const { value } = versions.at(-1)!
        turns[key] = { is: 'read', sight: turn.sight, value }
        this.#answerAll(key, value, 'a fill')
        return
      }
      case 'read': {
        if (token === undefined) return this.#endTurn(key)
        const second = this.see()
        const counts = this.#scene.fault !== 'confirms without counting openings'
        const same = second.token === token && !(counts && second.openings !== openings)
        if (same) turns[key] = { ...turn, is: 'confirmed' }
        else this.#endTurn(key)
        return
      }
      case 'confirmed':
        if (committed) this.broken.push('a loser write')
        entries[key] = { token: token!, value: turn.value! }
        return this.#endTurn(key)
    }
  }

  #endTurn(key: number): void {
    const { readers, turns } = this.state
    turns[key] = undefined
    if (this.#scene.fault === 'forgets who gathered') return
    for (const [index, reader] of readers.entries()) {
      if (keyOf(index) !== key || reader.is !== 'gathered') continue
      readers[index] = { ...reader, is: 'following' }
      turns[key] = { is: 'looking', sight: { token: undefined, openings: 0 } }
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

  /** Who has seen it has seen it: no later answer may be older. */
  #isPromised({ covered, writer }: State['versions'][number]): boolean {
    return this.#scene.mode === 'observe' || covered || hasEnded(writer, this.state, this.#scene)
  }
}
