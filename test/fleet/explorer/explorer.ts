import type { Operation } from './engine-rules.js'
import { nameOf } from './name.js'
import { NodeRules, type Engine } from './node-rules.js'
import { copy, initial, type Scene, type State } from './state.js'

/**
 * Searches every interleaving of three nodes that share the fills of one key by an engine. What a step stands for:
 *
 *   change   the repository's second state comes about
 *   arrive   a client's request arrives and is observed: hit, join, gather or a new fill (FreshCache.read)
 *   claim    FleetEngine.claim, and what its answer leads to; `away` and `answer lost`: the node goes on alone
 *   read     the fill's producer reads the refs; all followers, those at other nodes too, get their bytes
 *   finish   the second observation; the entry is committed or not
 *   publish  FleetEngine.publish; `away`: it never arrives
 *   reach    a peer's question arrives: answered, joined, gathered, refused, or its node is dead (then the lease is robbed)
 *   round    the next fill, for those who gathered
 *   age, renew, expire   a lease nears its time limit; is renewed; ends
 *   silent   a node gives up on another one whose lease has expired
 *   crash, restart   a node loses all that it has; its clients see an error; nodes that wait for it learn of it at once
 *   flush    the engine loses its memory: another incarnation
 *
 * Left out: failures of producers, which are records as entries are; two keys, which never meet; mutator leases, whose
 * search is in test/freshness/explorer/; the bytes themselves, which are checked where they are received.
 */
export interface Findings {
  readonly states: number
  readonly steps: number
  /** Each rule that is violated, with a shortest path to the violation. */
  readonly broken: ReadonlyMap<string, readonly string[]>
  /** Most runs of a producer for one state. */
  readonly runsMax: number
}

interface Visit {
  readonly id: number
  readonly state: State
  readonly path: Path | undefined
}

/** The path to a state, from its last step back. */
interface Path {
  readonly step: string
  readonly before: Path | undefined
}

/** Searches breadth first, and stops at the end of the level on which a rule is violated. */
export function explore(scene: Scene): Findings {
  const ids = new Map<string, number>()
  const broken = new Map<string, string[]>()
  const graph = new Graph()
  let runsMax = 0
  let visits: Visit[] = [{ id: 0, state: initial(scene), path: undefined }]
  ids.set(nameOf(visits[0]!.state, scene), 0)
  while (visits.length > 0 && broken.size === 0) {
    const next: Visit[] = []
    for (const { id, state, path } of visits) {
      const steps = stepsFrom(state, scene)
      runsMax = Math.max(runsMax, ...state.runs)
      if (steps.length === 0) note(violationsAtEnd(state, scene), path, broken)
      for (const step of steps) {
        const there = { step: step.name, before: path }
        note(step.broken, there, broken)
        const name = nameOf(step.state, scene)
        let target = ids.get(name)
        if (target === undefined) {
          target = ids.size
          ids.set(name, target)
          next.push({ id: target, state: step.state, path: there })
        }
        graph.add(id, target)
      }
    }
    visits = next
  }
  // Together with the check of states without further steps: whatever happens, every request is answered in the end.
  if (broken.size === 0 && graph.hasCircle(ids.size)) broken.set('the fleet can go round in circles', [])
  return { states: ids.size, steps: graph.size, broken, runsMax }
}

function note(rules: readonly string[], path: Path | undefined, broken: Map<string, string[]>): void {
  for (const rule of rules) {
    if (broken.has(rule)) continue
    const steps: string[] = []
    for (let at = path; at; at = at.before) steps.unshift(at.step)
    broken.set(rule, steps)
  }
}

export interface Step {
  readonly name: string
  readonly state: State
  /** The rules that it violates. */
  readonly broken: readonly string[]
}

/** @param record is called with the operations of the engine in each step, before the step is returned */
export function stepsFrom(
  state: State,
  scene: Scene,
  record?: (step: string, operation: Operation) => void,
): Step[] {
  const steps: Step[] = []
  const { version, nodes, lease, published, crashes, agings, flushes, absences } = state
  const add = (name: string, go: (rules: NodeRules) => void): void => {
    const rules = new NodeRules(copy(state), scene, record && ((operation) => record(name, operation)))
    go(rules)
    steps.push({ name, state: rules.state, broken: rules.broken })
  }
  if (scene.changes && version === 0) add('change', (rules) => (rules.state.version = 1))
  if (flushes > 0 && (lease || published)) add('flush', (rules) => rules.engine.flush())
  if (lease && !lease.old && agings > 0) {
    add('age', (rules) => rules.engine.age())
  }
  if (lease?.old) add('expire', (rules) => rules.engine.expire())
  for (const [index, { alive, away, gathered, fill, unpublished }] of nodes.entries()) {
    if (!alive) {
      add(`restart ${index}`, (rules) => rules.restart(index))
      continue
    }
    if (away > 0) add(`arrive ${index}`, (rules) => rules.arrive(index))
    if (crashes > 0) add(`crash ${index}`, (rules) => rules.crash(index))
    if (unpublished) {
      for (const engine of enginesOf(absences)) {
        if (engine === 'answer lost') continue
        const name = `publish ${index}${engine === 'away' ? ' (away)' : ''}`
        add(name, (rules) => rules.publish(index, unpublished, engine))
      }
    }
    if (!fill) {
      const isAsked = nodes.some(({ fill }) => fill?.peer === index && fill.is === 'gathered')
      if (gathered !== undefined || isAsked) add(`round ${index}`, (rules) => rules.startRound(index))
      continue
    }
    if (fill.is === 'claiming') {
      for (const engine of enginesOf(absences)) {
        const name = `claim ${index}${engine === 'answers' ? '' : ` (${engine})`}`
        add(name, (rules) => rules.claim(index, fill, engine))
      }
    }
    if (fill.is === 'running') add(`read ${index}`, (rules) => rules.read(index))
    const { token, peerToken } = fill
    const isRunning = fill.is === 'running' || fill.is === 'read'
    // Renewals of other leases change nothing, unless the engine compares no tokens.
    const matters = lease?.old
      ? lease.node === index
      : scene.fault === 'leases are renewed by key, not by token'
    if (isRunning && token && matters) add(`renew ${index}`, (rules) => rules.engine.renew(index, token))
    // One publish at a time is enough to be late.
    const hasBytes = fill.is === 'read' || fill.is === 'got'
    if (hasBytes && !unpublished) add(`finish ${index}`, (rules) => rules.finish(index, fill))
    if (fill.is === 'asking') add(`reach ${index}`, (rules) => rules.reach(index, fill))
    const isWaiting = fill.is === 'waiting' || fill.is === 'gathered'
    const known = [lease?.token.grant, published?.token.grant]
    if (isWaiting && peerToken && agings < scene.agings && !known.includes(peerToken.grant)) {
      add(`silent ${index}`, (rules) => rules.giveUp(index))
    }
  }
  return steps
}

const enginesOf = (absences: number): readonly Engine[] =>
  absences > 0 ? ['answers', 'away', 'answer lost'] : ['answers']

/** Checks a state without further steps. */
function violationsAtEnd({ nodes, runs, commits }: State, scene: Scene): string[] {
  const violations: string[] = []
  const isIdle = nodes.every(({ alive, fill, waiting, gathered }) => {
    return alive && !fill && waiting === undefined && gathered === undefined
  })
  if (!isIdle) violations.push('a request waits forever')
  const { crashes, agings, flushes, absences, changes, requests } = scene
  const faults = crashes + agings + flushes + absences
  const asked = requests.some((count) => count > 0)
  if (faults === 0 && !changes && asked && runs[0] !== 1) violations.push('not one fill for the state')
  if (faults === 0 && commits.some((count) => count > 1)) violations.push('a loser write')
  return violations
}

/** The steps between states, by their numbers. */
class Graph {
  #edges = new Int32Array(1 << 16)
  #length = 0

  get size(): number {
    return this.#length / 2
  }

  add(from: number, to: number): void {
    if (this.#length === this.#edges.length) {
      const larger = new Int32Array(2 * this.#edges.length)
      larger.set(this.#edges)
      this.#edges = larger
    }
    this.#edges[this.#length++] = from
    this.#edges[this.#length++] = to
  }

  /** Removes states that nothing leads to, until none is left (Kahn's algorithm); a circle stays. */
  hasCircle(states: number): boolean {
    const [edges, length] = [this.#edges, this.#length]
    const arriving = new Int32Array(states)
    const firsts = new Int32Array(states + 1)
    for (let at = 0; at < length; at += 2) {
      firsts[edges[at]! + 1]!++
      arriving[edges[at + 1]!]!++
    }
    for (let state = 0; state < states; state++) firsts[state + 1]! += firsts[state]!
    const targets = new Int32Array(length / 2)
    const fill = firsts.slice()
    for (let at = 0; at < length; at += 2) targets[fill[edges[at]!]!++] = edges[at + 1]!
    const free: number[] = []
    for (let state = 0; state < states; state++) if (arriving[state] === 0) free.push(state)
    let removed = 0
    for (let state = free.pop(); state !== undefined; state = free.pop()) {
      removed++
      for (let at = firsts[state]!; at < firsts[state + 1]!; at++) {
        if (--arriving[targets[at]!]! === 0) free.push(targets[at]!)
      }
    }
    return removed < states
  }
}
