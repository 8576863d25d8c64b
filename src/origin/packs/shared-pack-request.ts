import { packKey, type PackRequest } from '../../freshness/pack-cache.js'
import type { Producer } from '../../streamcache/index.js'
import type { FleetRun } from '../peers/fleet-run.js'
import type { FleetRuns } from '../peers/fleet-runs.js'
import type { PackState } from './pack-source.js'

export interface SharedPackFill {
  readonly state: PackState
  /** Makes the pack here. */
  readonly make: Producer
  /** As in `PackRun`. */
  readonly ended: (sound: boolean) => void
  readonly admitted: boolean
  /** Is it the request of another node? */
  readonly isForPeer: boolean
}

/** Returns a request whose fill other nodes of the fleet may make instead, or follow. */
export function sharedPackRequest(
  fleet: FleetRuns,
  request: PackRequest,
  { state, make, ended, admitted, isForPeer }: SharedPackFill,
): PackRequest {
  const { name, repository, maxAgeMs } = state
  const own = { key: packKey(name, repository), state: name, token: name }
  let planned: FleetRun | undefined
  const plan = (): FleetRun => {
    const { repository, key, question } = state.shared()
    return fleet.plan(own, {
      ...{ repository, key, state: name, question: question(admitted), isForPeer },
      repeatable: false,
      produce: make,
      borrowed: ({ sound }) => ended(sound === true),
    })
  }
  const find = async (): Promise<boolean> => {
    planned = plan()
    const isFound = await fleet.find(planned, own)
    if (isFound) planned = undefined
    return isFound
  }
  return {
    ...request,
    producer: (signal) => (planned ??= plan()).produce(signal),
    fillStarted: (fill) => {
      request.fillStarted(fill)
      fleet.started((planned ??= plan()), fill.entry, fill.ended, own)
    },
    mayWaitFor: (entry) => fleet.mayWaitFor(entry, isForPeer),
    ageMs: () => planned?.ageMs(maxAgeMs) ?? 0,
    ...(fleet.mayFind && { find }),
  }
}
