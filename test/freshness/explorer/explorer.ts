import { Reading } from './reading.js'
import { nameOf } from './name.js'
import { copy, initial, type Scene, type State, type Round } from './state.js'
import { Writing } from './writing.js'

/**
 * Searches every interleaving of readers, writers, an expiry and a crash. What a step stands for:
 *
 *   ask      a request arrives and observes (CoalescedObservations.observe). Its observation follows at once: a later one
 *            would see newer states, with the same requirement for the answer.
 *   decide   FreshCache.read: hit, join, fill or gather; one step, since there is no await in between
 *   observe  FreshCache.#startRound: the observation of a round for the gathered requests
 *   start    the rest of #startRound: they get what is committed by now, or a fill
 *   bytes    the fill's Git process reads the refs, and its followers are answered. Answers that take longer need no
 *            steps of their own: the earlier an answer ends, the more it requires of later ones.
 *   confirm  the second observation (`isUnchanged` in FreshCache.#fill). If it differs, or the fill has no token, the round ends.
 *   commit   StreamCache.#commit, then FreshCache.#endRound
 *   open, write, undo, end     a writer's POST /v1/leases, its change, DELETE /v1/leases/{id}, and on 404 POST /v1/invalidate
 *   expire   the time limit of a lease
 *   crash    kill -9 and a restart: rounds are lost and their readers fail; entries and the journal of leases stay
 *
 * `maxAgeMs` is left out: it is for changes without a lease, about which nothing is promised here. So is what an
 * unlucky writer does after its lease has expired, until it has ended: some answers may show it, and later ones may not.
 */
export interface Step {
  readonly name: string
  readonly state: State
  /** The rules that it violates. */
  readonly broken: readonly string[]
}

export interface Findings {
  readonly states: number
  /** Each rule that is violated, with a shortest path to the violation. */
  readonly broken: ReadonlyMap<string, readonly string[]>
}

/** The path to a state, from its last step back. */
interface Path {
  readonly step: string
  readonly before: Path | undefined
}

/**
 * Searches breadth first, so that a violation is shown with a shortest path to it.
 * @param toTheEnd whether the search goes on after a violation
 */
export function explore(scene: Scene, toTheEnd = false): Findings {
  const seen = new Set<string>()
  const broken = new Map<string, string[]>()
  let visits: { state: State; path: Path | undefined }[] = [{ state: initial(scene), path: undefined }]
  while (visits.length > 0 && (toTheEnd || broken.size === 0)) {
    const next: typeof visits = []
    for (const { state, path } of visits) {
      const steps = stepsFrom(state, scene)
      if (steps.length === 0) note(violationsAtEnd(state, scene), path, broken)
      for (const step of steps) {
        const there = { step: step.name, before: path }
        note(step.broken, there, broken)
        const name = nameOf(step.state, scene)
        if (seen.has(name)) continue
        seen.add(name)
        next.push({ state: step.state, path: there })
      }
    }
    visits = next
  }
  return { states: seen.size, broken }
}

function note(rules: readonly string[], path: Path | undefined, broken: Map<string, string[]>): void {
  for (const rule of rules) {
    if (broken.has(rule)) continue
    const steps: string[] = []
    for (let at = path; at; at = at.before) steps.unshift(at.step)
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
  for (const [key, round] of state.rounds.entries()) {
    if (round) reading(`${afterwards[round.is]} ${key}`, (next) => next.goOn(key, round))
  }
  for (const [index, reader] of state.readers.entries()) {
    if (reader.is === 'asking') reading(`decide ${index}`, (next) => next.decide(index, reader))
    if (reader.is !== 'away') continue
    reading(`ask ${index}`, (next) => next.ask(index, reader))
    const early = scene.fault === 'uses earlier observations' && !reader.observed
    if (early) reading(`observe for ${index}`, (next) => next.observeEarly(index, reader))
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

const afterwards: Record<Round['is'], string> = {
  observing: 'observe',
  observed: 'start',
  reading: 'bytes',
  read: 'confirm',
  confirmed: 'commit',
}

/** Checks a state without further steps: every reader has its answer, and of new ones at most the first needs a fill. */
function violationsAtEnd(state: State, scene: Scene): string[] {
  const waiting = state.readers.some(({ is }) => is !== 'answered' && is !== 'failed')
  if (waiting) return ['a reader waits forever']
  let late = { ...state, readers: initial({ ...scene, readers: 3 }).readers }
  const asked: string[] = []
  // Always the first possible step: a round goes on before the next reader asks.
  for (let step = stepsFrom(late, scene)[0]; step; step = stepsFrom(late, scene)[0]) {
    asked.push(step.name)
    late = step.state
  }
  const lastFill = asked.lastIndexOf('bytes 0')
  return lastFill < asked.indexOf('ask 2') ? [] : ['no hit when nothing changes']
}
