import { Reading } from './reading.js'
import { nameOf } from './name.js'
import { copy, initial, type Scene, type State, type Turn } from './state.js'
import { Writing } from './writing.js'

/**
 * Searches every interleaving of readers, writers, an expiry and a crash. What a step stands for:
 *
 *   ask      a request arrives and looks (SharedLooks.observe). Its look follows at once: a later look would see newer
 *            states, for the same demand on the answer.
 *   decide   FreshCache.read: hit, join, fill or gather; one step, as there is no await in between
 *   look     FreshCache.#takeTurn: the look of a turn for those who gathered
 *   start    the rest of #takeTurn: they get what is committed by now, or a fill
 *   bytes    the fill's Git process reads the refs, and whoever follows is answered. Answers that take longer need no
 *            steps of their own: the earlier an answer ends, the more it demands of those who ask later.
 *   confirm  the second look (`unchanged` in FreshCache.#fill). If it says no, or the fill has no token, the turn ends.
 *   commit   StreamCache.#commit, then FreshCache.#endTurn
 *   open, write, undo, end     a writer's POST /v1/leases, its change, DELETE /v1/leases/{id}, and on 404 POST /v1/invalidate
 *   expire   the time limit of a lease
 *   crash    kill -9 and a restart: turns are lost and their readers fail; entries and the journal of leases stay
 *
 * Time slots are left out: they are there for changes without a lease, of which nothing is promised here. So is what an
 * unlucky writer does after its lease has expired, until it has ended: some answers may show it, and later ones not.
 */
export interface Step {
  readonly name: string
  readonly state: State
  /** Rules that it broke. */
  readonly broken: readonly string[]
}

export interface Findings {
  readonly states: number
  /** Each rule that was broken, with the shortest way there. */
  readonly broken: ReadonlyMap<string, readonly string[]>
}

/** The way to a state, from its last step back. */
interface Way {
  readonly step: string
  readonly before: Way | undefined
}

/**
 * Breadth first, so that a broken rule is shown by a shortest way to it.
 * @param toTheEnd go on when a rule has been broken
 */
export function explore(scene: Scene, toTheEnd = false): Findings {
  const seen = new Set<string>()
  const broken = new Map<string, string[]>()
  let visits: { state: State; way: Way | undefined }[] = [{ state: initial(scene), way: undefined }]
  while (visits.length > 0 && (toTheEnd || broken.size === 0)) {
    const next: typeof visits = []
    for (const { state, way } of visits) {
      const steps = stepsFrom(state, scene)
      if (steps.length === 0) note(whatIsWrongAtLast(state, scene), way, broken)
      for (const step of steps) {
        const there = { step: step.name, before: way }
        note(step.broken, there, broken)
        const name = nameOf(step.state, scene)
        if (seen.has(name)) continue
        seen.add(name)
        next.push({ state: step.state, way: there })
      }
    }
    visits = next
  }
  return { states: seen.size, broken }
}

function note(rules: readonly string[], way: Way | undefined, broken: Map<string, string[]>): void {
  for (const rule of rules) {
    if (broken.has(rule)) continue
    const steps: string[] = []
    for (let at = way; at; at = at.before) steps.unshift(at.step)
    broken.set(rule, steps)
  }
}

function stepsFrom(state: State, scene: Scene): Step[] {
  const steps: Step[] = []
  const reading = (name: string, go: (reading: Reading) => void): void => {
    const next = new Reading(copy(state), scene)
    go(next)
    steps.push({ name, state: next.state, broken: next.broken })
  }
  const writing = (name: string, go: (writing: Writing) => void): void => {
    const next = new Writing(copy(state), scene)
    go(next)
    steps.push({ name, state: next.state, broken: [] })
  }
  for (const [key, turn] of state.turns.entries()) {
    if (turn) reading(`${afterwards[turn.is]} ${key}`, (next) => next.goOn(key, turn))
  }
  for (const [index, reader] of state.readers.entries()) {
    if (reader.is === 'asking') reading(`decide ${index}`, (next) => next.decide(index, reader))
    if (reader.is !== 'away') continue
    reading(`ask ${index}`, (next) => next.ask(index, reader))
    const early = scene.fault === 'takes looks that began before' && !reader.sight
    if (early) reading(`look for ${index}`, (next) => next.lookEarly(index, reader))
  }
  for (const [index, { done, lease }] of state.writers.entries()) {
    const { steps: script, unlucky } = scene.writers[index]!
    if (done < script.length) writing(`${script[done]} ${index}`, (next) => next.goOn(index))
    const expires = lease === 'open' && unlucky && scene.fault !== 'lets no lease expire'
    if (expires) writing(`expire ${index}`, (next) => next.expire(index))
  }
  if (state.crashes > 0) writing('crash', (next) => next.crash())
  return steps
}

const afterwards: Record<Turn['is'], string> = {
  looking: 'look',
  looked: 'start',
  reading: 'bytes',
  read: 'confirm',
  confirmed: 'commit',
}

/** Nothing can happen any more: everybody has an answer, and whoever asks now is the last who needs a fill. */
function whatIsWrongAtLast(state: State, scene: Scene): string[] {
  const waiting = state.readers.some(({ is }) => is !== 'answered' && is !== 'failed')
  if (waiting) return ['a reader waits for ever']
  let late = { ...state, readers: initial({ ...scene, readers: 3 }).readers }
  const asked: string[] = []
  // The first step of those possible: a turn goes on before the next reader asks.
  for (let step = stepsFrom(late, scene)[0]; step; step = stepsFrom(late, scene)[0]) {
    asked.push(step.name)
    late = step.state
  }
  const lastFill = asked.lastIndexOf('bytes 0')
  return lastFill < asked.indexOf('ask 2') ? [] : ['no hit after all is quiet']
}
