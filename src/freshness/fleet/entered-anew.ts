import { TooManyFleetLeases, type FleetEngine } from '../../fleet/engine.js'
import type { Clock } from '../../limits/clock.js'
import type { OwnLeases } from './own-leases.js'
import type { PendingWork } from './pending-work.js'

/** What is told to an engine that has lost its memory. */
export interface EnteredParts {
  readonly engine: Pick<FleetEngine, 'openLease' | 'endLease'>
  readonly own: OwnLeases
  readonly pending: PendingWork
  readonly clock: Clock
  /** Do all nodes know of a lease from one another, until the engine has it? */
  readonly isTold: (id: string) => boolean
}

/**
 * Has an engine that has lost its memory told of the leases of a repository that were opened here, before it is asked again.
 * @param incarnation of the engine's new memory
 */
export function enterAnew(parts: EnteredParts, repository: string, incarnation: string | undefined): void {
  const { own, pending, isTold } = parts
  for (const { id, repository: other } of own.values()) {
    if (other === repository && !isTold(id)) pending.add(`anew ${id}`, () => enter(parts, id, incarnation))
  }
}

async function enter(
  { engine, own, clock }: EnteredParts,
  id: string,
  incarnation: string | undefined,
): Promise<void> {
  const lost = own.get(id)
  if (!lost) return
  const leftMs = Math.max(1, lost.expiresAtMs - clock.now())
  try {
    await engine.openLease(lost.lease, leftMs)
  } catch (error) {
    // No later try would succeed sooner, and until one does the engine could not be asked about anything.
    if (error instanceof TooManyFleetLeases) return
    throw error
  }
  const now = own.get(id)
  // Its end may have been told to the engine before the engine knew of it.
  if (!now) await engine.endLease(id, 'changed')
  // Otherwise it was renewed meanwhile.
  else if (now === lost) own.add(lost.lease, incarnation, leftMs)
}
