import type { FillRequest } from '../../freshness/fill-request.js'
import type { ObservedState } from '../../freshness/observed-state.js'
import type { ServingConfig } from '../../git/process/serving-config.js'
import type { Repository } from '../../git/state/repository.js'
import type { RevisingProducer } from '../../streamcache/index.js'
import type { FleetRun } from '../peers/fleet-run.js'
import type { FleetRuns, OwnFill } from '../peers/fleet-runs.js'
import type { DiskQuestion } from '../peers/peer-question.js'
import { askedAge, sharedIdentityOf } from '../peers/shared-identity.js'

/** What a fill of a repository's refs makes. */
export interface SharedRefs {
  readonly key: string
  readonly kind: string
  readonly variant: string
  /** Relative to the root. */
  readonly path: string
  readonly repository: Repository
  readonly serving: ServingConfig
  readonly producer: (seen: ObservedState) => RevisingProducer
  readonly asked: DiskQuestion['asked']
  readonly isForPeer?: boolean
}

/** Names a state: what must have changed before a failed fill may succeed. */
export const nameOf = ({ token, generation }: ObservedState): string => `${token} ${generation}`

/** Returns a request whose fill other nodes of the fleet may make instead, or follow. */
export function sharedRequest(
  fleet: FleetRuns,
  request: FillRequest,
  { key, kind, variant, path, repository, serving, producer, asked, isForPeer = false }: SharedRefs,
): FillRequest {
  /** What was planned for the fill that is about to begin, or has. */
  let planned: FleetRun | undefined
  const questionFor = ({ maxAgeMs }: ObservedState): DiskQuestion => ({
    ...{ origin: 'disk', path, asked, ...askedAge(maxAgeMs) },
    repository: sharedIdentityOf(repository, serving),
  })
  const fillOf = (state: ObservedState): OwnFill => ({
    ...{ key, state: nameOf(state) },
    token: state.unsettledMs === 0 ? state.token : undefined,
  })
  const plan = (state: ObservedState): FleetRun => {
    planned = fleet.plan(fillOf(state), {
      repository: repository.commonName || '.',
      key: `${kind} ${variant} ${repository.gitName}`,
      state: state.unsettledMs === 0 ? sharedNameOf(state) : undefined,
      ...{ question: questionFor(state), isForPeer, repeatable: true, produce: producer(state) },
    })
    return planned
  }
  const find = async (state: ObservedState): Promise<boolean> => {
    const isFound = await fleet.find(plan(state), fillOf(state))
    if (isFound) planned = undefined
    return isFound
  }
  return {
    ...request,
    isForPeer,
    producer: (state) => {
      // What was looked for has claimed the fill already.
      const run = planned ?? plan(state)
      return (signal) => run.produce(signal)
    },
    fillStarted: (entry, state, ended) => {
      request.fillStarted?.(entry, state, ended)
      if (planned) fleet.started(planned, entry, ended, fillOf(state))
    },
    mayWaitFor: (entry) => fleet.mayWaitFor(entry, isForPeer),
    ageMs: ({ maxAgeMs }) => planned?.ageMs(maxAgeMs) ?? 0,
    ...(fleet.mayFind && { find }),
  }
}

/** Names a state for all nodes, as far as they name it alike. */
const sharedNameOf = ({ token, generation, epoch = String(generation) }: ObservedState): string =>
  `${token} ${epoch}`
