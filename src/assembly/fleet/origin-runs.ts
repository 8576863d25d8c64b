import type { FleetFills } from '../../fleet/fills/shared-fill.js'
import type { BackOff } from '../../limits/back-off.js'
import { FleetRuns } from '../../origin/peers/fleet-runs.js'
import type { StreamCache } from '../../streamcache/index.js'
import type { Fleet } from './fleet.js'

/** What origins know of a fleet. */
export interface FleetParts {
  readonly fills: FleetFills
  /** Of advertisements and listings. */
  readonly refRuns: FleetRuns
  readonly packRuns: FleetRuns
  readonly viewKey: Buffer
}

/** @param caches where the entries are that fills make */
export function fleetParts(
  { fills, isOneHost, viewKey }: Fleet,
  caches: { readonly refs: StreamCache; readonly packs: StreamCache },
  backOff: BackOff,
): FleetParts {
  const runs = (cache: StreamCache): FleetRuns =>
    new FleetRuns({
      ...{ fills, backOff, statesAreShared: isOneHost },
      files: isOneHost
        ? { pathOf: ({ path }) => path, adopt: (key, token, stored) => cache.adopt(key, token, stored) }
        : undefined,
    })
  return { fills, viewKey, refRuns: runs(caches.refs), packRuns: runs(caches.packs) }
}
