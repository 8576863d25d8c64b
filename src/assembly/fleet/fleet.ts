import { createHmac, randomBytes } from 'node:crypto'
import type { Settings } from '../../config/options/options.js'
import { EngineGate } from '../../fleet/engine-gate.js'
import { SharedFills } from '../../fleet/fills/shared-fills.js'
import type { FleetFills } from '../../fleet/fills/shared-fill.js'
import { Members } from '../../fleet/members.js'
import { FleetNames } from '../../fleet/names.js'
import { PeerClient } from '../../fleet/peers/client/peer-client.js'
import type { PeerAnswerer } from '../../fleet/peers/peer.js'
import { PeerServer } from '../../fleet/peers/server/peer-server.js'
import { FleetLeases } from '../../freshness/fleet/fleet-leases.js'
import type { LeaseEvents } from '../../freshness/leases/leases.js'
import { ConfigError } from '../../config/values/config-error.js'
import type { RepositoriesRoot } from '../../git/state/repositories-root.js'
import { OriginFaults, type FaultKind } from '../../origin/peers/fault-codec.js'
import type { FleetStatus } from '../../status/model.js'
import type { Log } from '../../telemetry/log.js'
import { showZeros, type Metrics } from '../../telemetry/metrics.js'
import { fleetMetrics } from '../../telemetry/metrics/fleet.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import type { PeerCertificates } from './files.js'
import type { FleetPlace } from './place.js'
import { subjectNames } from './subject-names.js'

/** This node's part of a fleet. */
export interface Fleet {
  readonly fills: FleetFills
  readonly leases: FleetLeases
  /** Are all nodes on this host, with one cache directory? */
  readonly isOneHost: boolean
  /** The same on all nodes: what the views of an upstream's clients are hashed with. */
  readonly viewKey: Buffer
  status(): FleetStatus
  /** Answers other nodes from now on. @throws ConfigError if the address cannot be listened on */
  listen(answerer: PeerAnswerer): Promise<void>
  /** Takes new certificates for connections that are made from now on. @throws Error if they cannot be used */
  setTls(tls: PeerCertificates): void
  /** This node is about to end: it begins nothing for other nodes any more, and is not preferred by them. */
  retire(): void
  /**
   * Listens to other nodes no more once no fill runs here, or half of that many milliseconds have passed; questions under way
   * may go on for the rest. To be called after retire().
   */
  drain(ms: number): Promise<void>
  /** Ends its part in the fleet at once. */
  close(): Promise<void>
}

/** A fill waits for its permit, and then takes its time: both are limited. */
const limitOf = ({ fillTimeoutSeconds, queueWaitSeconds }: Settings): number =>
  (fillTimeoutSeconds + queueWaitSeconds) * 1000

/**
 * @param faults errors that origins have besides those of all
 * @throws ConfigError if the members or certificates cannot be used
 */
export function openFleet(
  settings: Settings,
  place: FleetPlace,
  root: RepositoriesRoot | undefined,
  events: LeaseEvents,
  faults: readonly FaultKind[],
  metrics: Metrics,
  log: Log,
  tracing?: Tracing,
): Fleet {
  const { node, members: all, secret, tls, isOneHost, open, listen } = place
  showZeros(metrics.fleetClaims, fleetMetrics.fleetClaims)
  showZeros(metrics.fleetBorrowed, fleetMetrics.fleetBorrowed)
  showZeros(metrics.fleetTakeovers, fleetMetrics.fleetTakeovers)
  showZeros(metrics.fleetPeerRequests, fleetMetrics.fleetPeerRequests)
  showZeros(metrics.fleetPeerBytes, fleetMetrics.fleetPeerBytes)
  const names = new FleetNames(place.fleet)
  const gate = new EngineGate({ open, metrics, log })
  const members = new Members({ engine: gate, node, configured: all.map(({ name }) => name), metrics })
  const codec = new OriginFaults(faults)
  const shared = { node, secret, tls, codec, metrics, tracing, log }
  const peers = orConfigError(() => new PeerClient({ ...shared, members: all }))
  const leases = new FleetLeases({
    ...{ engine: gate, events },
    names: subjectNames(root, (name) => names.repository(name)),
    tell: (message) => peers.tell(message),
  })
  const fills = new SharedFills({
    ...{ engine: gate, peers, members, names, node, metrics },
    limitMs: limitOf(settings),
    filesAreShared: isOneHost,
    encode: (error) => codec.encode(error),
  })
  gate.onChanged((isUp) => isUp && void members.start())
  let server: PeerServer | undefined
  return {
    ...{ fills, leases, isOneHost, viewKey: viewKeyOf(place) },
    status: () => ({
      ...{ node, isEngineUp: gate.isUp },
      ...{ live: members.live, configured: members.configured },
    }),
    listen: async (answerer) => {
      server = orConfigError(() => new PeerServer({ ...shared, answerer, isLocal: isOneHost }))
      await server.listen(listen).catch((error: unknown) => {
        throw new ConfigError(`--peer: ${(error as Error).message}`, { cause: error })
      })
      await leases.greet()
    },
    setTls: (certificates) => {
      server?.setTls(certificates)
      peers.setTls(certificates)
    },
    retire: () => {
      fills.retire()
      void members.retire()
    },
    drain: async (ms) => {
      const began = performance.now()
      // Nodes that ask meanwhile join the fills that run here, instead of making second ones.
      await fills.idle(ms / 2)
      await server?.close(Math.max(0, ms - (performance.now() - began)))
    },
    close: async () => {
      await server?.close(0)
      await members.close()
      leases.close()
      fills.close()
      peers.close()
      await gate.close()
    },
  }
}

/** Derived from what all nodes have: without a secret the views of clients with credentials are this node's alone. */
const viewKeyOf = ({ viewSecret }: FleetPlace): Buffer =>
  viewSecret === undefined
    ? randomBytes(32)
    : createHmac('sha256', viewSecret).update('refstream view').digest()

function orConfigError<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw new ConfigError(`--fleet-members: ${(error as Error).message}`, { cause: error })
  }
}
