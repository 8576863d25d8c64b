import type { Definitions } from './definition.js'

export const fleetMetrics = {
  fleetEngineUp: {
    type: 'gauge',
    name: 'refstream_fleet_engine_up',
    ofWorkers: 'min',
    help: '1 while the engine of the fleet answers in time; 0 while this node works alone.',
    details:
      'Alone, a node fills for itself and keeps nothing of repositories in lease mode; no answer becomes stale. Absent without a fleet.',
    labels: {},
  },
  fleetOperations: {
    type: 'counter',
    name: 'refstream_fleet_engine_operations_total',
    help: 'Operations that the engine of the fleet was asked for, by how they ended.',
    labels: {
      operation: 'name of the operation: claim, renew, publish, epochs, change, openLease and so on.',
      result: {
        ok: 'answered.',
        failed: 'refused, or the connection failed.',
        timeout: 'not answered within 250 ms.',
        skipped: 'not asked: the circuit breaker is open.',
      },
    },
  },
  fleetClaims: {
    type: 'counter',
    name: 'refstream_fleet_claims_total',
    help: 'Fills that this node was about to begin, by what the fleet said.',
    labels: {
      answer: {
        granted: 'this node fills.',
        held: 'another node fills; it is asked.',
        published: 'another node has the entry; it is asked, or its file is opened.',
        failed: 'a failure is in force, and was answered.',
        alone: 'the engine did not answer; this node fills.',
      },
    },
  },
  fleetBorrowed: {
    type: 'counter',
    name: 'refstream_fleet_borrowed_fills_total',
    help: 'Fills whose bytes another node has made, by how they came here.',
    labels: {
      way: { peer: 'streamed from the node.', file: 'its committed file was opened.' },
    },
  },
  fleetTakeovers: {
    type: 'counter',
    name: 'refstream_fleet_takeovers_total',
    help: 'Times that this node gave up on another one that was to make an entry, and claimed its fill anew.',
    labels: {
      reason: {
        unreachable: 'its socket refused or was closed; its lease was taken at once.',
        silent: 'it gave no sign of life; its lease was taken when its time limit had passed.',
        refused: 'it did not make the entry, or has other repositories.',
      },
    },
  },
  fleetLosers: {
    type: 'counter',
    name: 'refstream_fleet_loser_publishes_total',
    help: 'Fills of this node whose lease was lost before they had ended: another node has made the entry too.',
    labels: {},
  },
  fleetPeerRequests: {
    type: 'counter',
    name: 'refstream_fleet_peer_requests_total',
    help: 'Questions between nodes, by direction and by how they ended.',
    labels: {
      direction: { asked: 'this node has asked another one.', answered: 'another node has asked this one.' },
      result: {
        ok: 'answered with bytes.',
        unchanged: 'the asking node has the bytes already.',
        refused: 'not made here, or another repository.',
        failed: 'answered with an error.',
        broken: 'the connection ended, or there was none.',
        silent: 'no sign of life.',
      },
    },
  },
  fleetPeerBytes: {
    type: 'counter',
    name: 'refstream_fleet_peer_bytes_total',
    help: 'Bytes of entries that were sent between nodes, by direction.',
    labels: { direction: { received: 'from another node.', sent: 'to another node.' } },
  },
  fleetMembers: {
    type: 'gauge',
    name: 'refstream_fleet_members',
    ofWorkers: 'max',
    help: 'Nodes of the fleet that are alive, as the engine knows them, this one included.',
    labels: {},
  },
} as const satisfies Definitions
