import { EngineRules, type Record } from './engine-rules.js'
import { isBorrowed, type Fill, type Node, type Scene, type State } from './state.js'

/** Refusals after which a node makes the fill alone. */
const refusalsMax = 3

/** How the engine behaves in one operation: it answers, or it does not, before or after the operation took effect. */
export type Engine = 'answers' | 'away' | 'answer lost'

/** The steps of nodes, applied to a copy of a state. */
export class NodeRules {
  readonly state: State
  /** The rules that were violated. */
  readonly broken: string[] = []
  readonly engine: EngineRules
  readonly #scene: Scene

  /** @param record is called with each operation of the engine that takes effect */
  constructor(state: State, scene: Scene, record?: Record) {
    this.state = state
    this.#scene = scene
    this.engine = new EngineRules(state, scene, this.broken, record)
  }

  /** A client's request arrives, and its observation follows at once: a later one would require the same or less. */
  arrive(index: number): void {
    const { version } = this.state
    const node = this.#update(index, { away: this.#node(index).away - 1 })
    const { fill, entry, gathered } = node
    if (entry?.state === version) this.#answer(version, entry.value, 'a hit')
    else if (!fill && gathered === undefined) {
      this.#update(index, { waiting: version, fill: newFill(version, false) })
    } else if (fill?.state === version) this.#join(index, version)
    else this.#update(index, { gathered: newer(gathered, version) })
  }

  /** Claims, and does what the answer says. */
  claim(index: number, fill: Fill, engine: Engine): void {
    if (engine !== 'answers') this.state.absences--
    if (engine !== 'away') {
      const answer = this.engine.claim(index, fill.state, fill.rob)
      if (engine === 'answers') return this.#claimed(index, fill, answer)
    }
    if (this.#scene.fault !== 'nodes whose engine is away wait for it') this.#run(index, fill)
    else this.#update(index, { fill: { ...fill, is: 'waiting' } })
  }

  #claimed(index: number, fill: Fill, answer: ReturnType<EngineRules['claim']>): void {
    if (answer.kind === 'granted') return this.#run(index, { ...fill, token: answer.token })
    const { node: peer, token: peerToken } = answer
    const isOwn = peer === index && answer.kind === 'published'
    // It claims because it does not have the entry any more.
    if (isOwn) return void this.#update(index, { fill: { ...fill, rob: peerToken } })
    if (this.#scene.fault !== waitsForBorrowed) {
      // Nodes that began to wait before it was known who makes the entry.
      if (fill.forPeer || this.#scene.fault !== stays) this.#refuseAll(index)
      if (fill.forPeer) return this.#endFill(index)
    }
    this.#update(index, { fill: { ...fill, is: 'asking', rob: undefined, peer, peerToken } })
  }

  /** Starts the producer. */
  #run(index: number, fill: Fill): void {
    this.state.runs = plusOne(this.state.runs, fill.state)
    this.#update(index, { fill: { ...fill, is: 'running', rob: undefined } })
  }

  /** The producer reads the refs, and all followers get their bytes; later bytes would require less. */
  read(index: number): void {
    this.#bytes(index, 'read', this.state.version)
  }

  /** The producer has ended: observes again, commits or not. */
  finish(index: number, fill: Fill): void {
    const { state, value, token } = fill
    const blind = this.#scene.fault === 'borrowed bytes are committed without a second observation'
    const kept = this.state.version === state || (blind && isBorrowed(fill))
    if (kept) {
      const entry = { state, value: value! }
      if (value !== state) this.broken.push('an entry has the bytes of another state')
      if (!isBorrowed(fill)) this.state.commits = plusOne(this.state.commits, state)
      this.#update(index, { entry })
    }
    if (token) this.#update(index, { unpublished: { token, state: kept ? state : undefined } })
    this.#endFill(index)
  }

  publish(index: number, { token, state }: NonNullable<Node['unpublished']>, engine: Engine): void {
    if (engine === 'answers') this.engine.publish(index, token, state)
    else this.state.absences--
    this.#update(index, { unpublished: undefined })
  }

  /** Starts the fill that gathered requests, of clients and of nodes, wait for. */
  startRound(index: number): void {
    const { version } = this.state
    const { entry, gathered } = this.#node(index)
    const peers = this.#asking(index, 'gathered')
    if (entry?.state === version) {
      if (gathered !== undefined) this.#answer(gathered, entry.value, 'a hit')
      this.#update(index, { gathered: undefined })
      for (const peer of peers) this.#bytes(peer, 'got', entry.value)
      return
    }
    const fill = newFill(version, gathered === undefined)
    this.#update(index, { fill, waiting: gathered, gathered: undefined })
    for (const peer of peers) this.#wait(peer, 'waiting')
  }

  /** A question reaches the node that is asked, which observes and answers by the rules for a client's request. */
  reach(index: number, fill: Fill): void {
    const { version } = this.state
    const peer = fill.peer!
    const { alive, entry, fill: other, gathered } = this.#node(peer)
    const trusts = this.#scene.fault === 'entries of other nodes are trusted by age'
    if (!alive) return this.#unreachable(index)
    if (entry && (entry.state === version || trusts)) return this.#bytes(index, 'got', entry.value)
    if (!other && gathered === undefined && this.#asking(peer, 'gathered').length === 0) {
      this.#update(peer, { fill: newFill(version, true) })
      return this.#wait(index, 'waiting')
    }
    if (other && isBorrowed(other) && this.#scene.fault !== waitsForBorrowed) return this.#refuse(index)
    if (other?.state !== version) return this.#wait(index, 'gathered')
    if (other.value !== undefined) this.#bytes(index, 'got', other.value)
    else this.#wait(index, 'waiting')
  }

  /** Gives up on a node that gives no sign of life, and whose lease has expired. */
  giveUp(index: number): void {
    this.#claimAnew(index, {})
  }

  crash(index: number): void {
    this.state.crashes--
    const { away } = this.#node(index)
    this.state.nodes[index] = { alive: false, away }
    for (const is of ['waiting', 'gathered'] as const) {
      for (const peer of this.#asking(index, is)) this.#unreachable(peer)
    }
  }

  restart(index: number): void {
    this.#update(index, { alive: true })
  }

  #endFill(index: number): void {
    const { waiting, gathered } = this.#node(index)
    this.#update(index, { fill: undefined, waiting: undefined, gathered: newer(gathered, waiting) })
  }

  /** A fill has its bytes: all who wait for them are answered. */
  #bytes(index: number, is: 'read' | 'got', value: number): void {
    const { fill, waiting } = this.#node(index)
    if (waiting !== undefined) this.#answer(waiting, value, is === 'got' ? 'another node' : 'a fill')
    this.#update(index, {
      waiting: undefined,
      fill: { ...fill!, is, value, peer: undefined, peerToken: undefined },
    })
    for (const peer of this.#asking(index, 'waiting')) this.#bytes(peer, 'got', value)
  }

  #join(index: number, from: number): void {
    const { fill, waiting } = this.#node(index)
    if (fill!.value !== undefined) this.#answer(from, fill!.value, 'a fill')
    else this.#update(index, { waiting: newer(waiting, from), fill: { ...fill!, forPeer: false } })
  }

  #answer(from: number, value: number, by: string): void {
    if (value < from) this.broken.push(`stale by ${by}`)
  }

  #wait(index: number, is: 'waiting' | 'gathered'): void {
    this.#update(index, { fill: { ...this.#node(index).fill!, is } })
  }

  #unreachable(index: number): void {
    const { peerToken } = this.#node(index).fill!
    if (this.#scene.fault === 'the death of an asked node is not noticed') this.#wait(index, 'waiting')
    else this.#claimAnew(index, { rob: peerToken })
  }

  #refuse(index: number): void {
    const fill = this.#node(index).fill!
    const refusals = fill.refusals + 1
    const plain = { ...fill, refusals, peer: undefined, peerToken: undefined }
    if (refusals >= refusalsMax) this.#run(index, plain)
    else this.#claimAnew(index, { refusals })
  }

  #refuseAll(index: number): void {
    for (const is of ['waiting', 'gathered'] as const) {
      for (const peer of this.#asking(index, is)) this.#refuse(peer)
    }
  }

  #claimAnew(index: number, changes: Partial<Fill>): void {
    const fill = this.#node(index).fill!
    this.#update(index, {
      fill: { ...fill, is: 'claiming', peer: undefined, peerToken: undefined, ...changes },
    })
  }

  /** Returns the nodes that wait at this one. */
  #asking(index: number, is: 'waiting' | 'gathered'): number[] {
    return [...this.state.nodes.keys()].filter((other) => {
      const { fill } = this.#node(other)
      return fill?.peer === index && fill.is === is
    })
  }

  #node(index: number): Node {
    return this.state.nodes[index]!
  }

  #update(index: number, changes: Partial<Node>): Node {
    const node = { ...this.#node(index), ...changes }
    this.state.nodes[index] = node
    return node
  }
}

const stays = 'nodes go on waiting when the fill turns out to be borrowed'
const waitsForBorrowed = 'asked nodes wait for borrowed fills'

const newFill = (state: number, forPeer: boolean): Fill => ({ is: 'claiming', state, forPeer, refusals: 0 })

const newer = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.max(a, b)

const plusOne = (counts: readonly number[], at: number): number[] =>
  counts.map((count, index) => (index === at ? count + 1 : count))
