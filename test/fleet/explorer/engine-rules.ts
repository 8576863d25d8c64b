import type { Scene, State, Token } from './state.js'

/** What a claim is answered, as in src/fleet/engine.ts. */
export type Answer =
  | { readonly kind: 'granted'; readonly token: Token }
  | { readonly kind: 'held' | 'published'; readonly node: number; readonly token: Token }

/** An operation that has taken effect, and what it was answered. */
export type Operation =
  | {
      readonly kind: 'claim'
      readonly node: number
      readonly state: number
      readonly rob: Token | undefined
      readonly answer: Answer
    }
  | { readonly kind: 'renew'; readonly node: number; readonly token: Token; readonly answer: boolean }
  | {
      readonly kind: 'publish'
      readonly node: number
      readonly token: Token
      readonly state: number | undefined
      readonly answer: boolean
    }
  | { readonly kind: 'age' | 'expire' | 'flush' }

export type Record = (operation: Operation) => void

/** The engine's operations and time limits for one key, without failures, applied to a copy of a state. */
export class EngineRules {
  readonly #state: State
  readonly #scene: Scene
  readonly #broken: string[]

  readonly #record: Record | undefined

  constructor(state: State, scene: Scene, broken: string[], record?: Record) {
    this.#record = record
    this.#state = state
    this.#scene = scene
    this.#broken = broken
  }

  claim(node: number, state: number, rob: Token | undefined): Answer {
    const answer = this.#claim(node, state, rob)
    this.#record?.({ kind: 'claim', node, state, rob, answer })
    return answer
  }

  #claim(node: number, state: number, rob: Token | undefined): Answer {
    const at = this.#state
    const { fault } = this.#scene
    if (rob && fault !== 'robbing is ignored') {
      if (at.lease && (isSame(at.lease.token, rob) || fault === robsAny)) this.#end(at.lease.token, rob)
      if (at.published && isSame(at.published.token, rob)) at.published = undefined
    }
    const { published, lease } = at
    if (published?.state === state) return { kind: 'published', ...published }
    const isOwn = lease?.node === node && fault !== 'a node is told to wait for its own lease'
    if (lease && !isOwn && fault !== 'held leases are granted') return { kind: 'held', ...lease }
    // The node itself has given up its older lease; that of another node is still in force for it.
    if (lease && lease.node === node) this.#invalidate(lease.token)
    const token = { number: at.numbers++, grant: at.grants++ }
    at.lease = { node, token, old: false }
    at.valid = [...at.valid, token.grant]
    if (at.valid.length > 1) this.#broken.push('two holders')
    return { kind: 'granted', token }
  }

  /** Does a node's renewal of a lease that has become old. */
  renew(node: number, token: Token): void {
    const at = this.#state
    const answer = at.lease !== undefined && isSame(at.lease.token, token)
    this.#record?.({ kind: 'renew', node, token, answer })
    if (this.#scene.fault === 'leases are renewed by key, not by token')
      at.lease = { node, token, old: false }
    else if (at.lease && answer) at.lease = { ...at.lease, old: false }
    if (at.lease?.token.grant === token.grant && !at.valid.includes(token.grant)) {
      this.#broken.push('a lost lease is renewed')
    }
  }

  /** @param state of the entry; undefined: nothing was kept */
  publish(node: number, token: Token, state: number | undefined): void {
    const at = this.#state
    const answer = at.lease !== undefined && isSame(at.lease.token, token)
    this.#record?.({ kind: 'publish', node, token, state, answer })
    if (!answer && this.#scene.fault !== 'publishes are recorded by key, not by token') return
    if (!at.valid.includes(token.grant)) this.#broken.push('a publish with a lost token is recorded')
    this.#invalidate(token)
    at.lease = undefined
    if (state !== undefined) at.published = { node, token, state }
  }

  /** A lease comes near its time limit. */
  age(): void {
    this.#state.agings--
    this.#state.lease = { ...this.#state.lease!, old: true }
    this.#record?.({ kind: 'age' })
  }

  /** The time limit of a lease that has become old passes. */
  expire(): void {
    this.#record?.({ kind: 'expire' })
    this.#invalidate(this.#state.lease!.token)
    this.#state.lease = undefined
  }

  /** Loses all that the engine knows. */
  flush(): void {
    const at = this.#state
    at.flushes--
    this.#record?.({ kind: 'flush' })
    at.lease = undefined
    at.published = undefined
    at.valid = []
    if (this.#scene.fault === 'tokens repeat after a loss of memory') at.numbers = 0
  }

  /** Ends a lease that is robbed by a token. */
  #end(token: Token, rob: Token): void {
    if (token.grant !== rob.grant) this.#broken.push('a lease is robbed by the token of another one')
    this.#invalidate(token)
    this.#state.lease = undefined
  }

  #invalidate({ grant }: Token): void {
    this.#state.valid = this.#state.valid.filter((one) => one !== grant)
  }
}

const robsAny = 'robbing by a token ends whatever lease there is'

const isSame = (a: Token, b: Token): boolean => a.number === b.number
