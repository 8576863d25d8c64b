import type { Metrics } from '../../../src/telemetry/metrics.js'

type FleetMetrics = Pick<
  Metrics,
  | 'fleetEngineUp'
  | 'fleetOperations'
  | 'fleetClaims'
  | 'fleetBorrowed'
  | 'fleetTakeovers'
  | 'fleetLosers'
  | 'fleetMembers'
>

/** Metrics of a fleet that a test reads: `claims.granted`, `losers`, `operations.claim.ok`, `up`, `members`. */
export class Counted {
  readonly counts: Record<string, number> = {}

  get metrics(): FleetMetrics {
    const counter = (name: string) => ({
      inc: (labels: Record<string, string> = {}) => {
        const key = [name, ...Object.values(labels)].join('.')
        this.counts[key] = (this.counts[key] ?? 0) + 1
      },
    })
    const gauge = (name: string) => ({ set: (value: number) => void (this.counts[name] = value) })
    return {
      fleetEngineUp: gauge('up'),
      fleetOperations: counter('operations'),
      fleetClaims: counter('claims'),
      fleetBorrowed: counter('borrowed'),
      fleetTakeovers: counter('takeovers'),
      fleetLosers: counter('losers'),
      fleetMembers: gauge('members'),
    } as unknown as FleetMetrics
  }
}
