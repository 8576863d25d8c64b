import { fleetMetrics } from '../../../metrics/fleet.js'
import { selectShown } from '../../expression.js'
import type { Row } from '../panel.js'
import { rates, values } from '../queries.js'

export const fleetRow: Row = {
  title: 'Fleet',
  isOptional: true,
  panels: [
    {
      title: 'Engine',
      description:
        'Does the engine of the fleet answer in time? If not, the node works alone: right, but with more load on Git.',
      unit: 'none',
      as: 'stat',
      thresholds: { from: 1, good: 'above' },
      texts: { 0: 'away', 1: 'up' },
      queries: [{ expr: selectShown(fleetMetrics.fleetEngineUp).text, legend: '{{instance}}' }],
    },
    {
      title: 'Members',
      description: 'Nodes that are alive, as the engine knows them. All nodes should agree.',
      unit: 'none',
      queries: [values(fleetMetrics.fleetMembers, ['instance'])],
    },
    {
      title: 'Operations of the engine',
      description: 'By result. `skipped`: the circuit breaker is open.',
      unit: 'ops',
      queries: [rates(fleetMetrics.fleetOperations, ['operation', 'result'])],
    },
    {
      title: 'Claims',
      description: 'Fills that a node was about to begin, by what the fleet said.',
      unit: 'ops',
      queries: [rates(fleetMetrics.fleetClaims, ['answer'])],
    },
    {
      title: 'Fills of other nodes',
      description:
        'Fills whose bytes another node has made, and those that were made twice because a lease was lost.',
      unit: 'ops',
      queries: [
        rates(fleetMetrics.fleetBorrowed, ['way']),
        rates(fleetMetrics.fleetLosers, [], { name: 'made twice' }),
      ],
    },
    {
      title: 'Takeovers',
      description: 'Times that a node gave up on another one, by reason. Many: a node or the network is ill.',
      unit: 'ops',
      queries: [rates(fleetMetrics.fleetTakeovers, ['reason'])],
    },
    {
      title: 'Questions between nodes',
      description: 'By direction and result.',
      unit: 'reqps',
      queries: [rates(fleetMetrics.fleetPeerRequests, ['direction', 'result'])],
    },
    {
      title: 'Bytes between nodes',
      description: 'Bytes of entries, by direction.',
      unit: 'Bps',
      queries: [rates(fleetMetrics.fleetPeerBytes, ['direction'])],
    },
  ],
}
