import type { Address, UnixAddress } from '../../config/values/addresses.js'
import type { Settings } from '../../config/options/options.js'
import type { FleetEngine } from '../../fleet/engine.js'
import type { PeerMember } from '../../fleet/peers/client/member.js'
import type { WorkerContext } from '../worker-context/context.js'
import { openEngine } from './engine.js'
import { readFleetFiles, type PeerCertificates } from './files.js'

/** Which node of which fleet this process is. */
export interface FleetPlace {
  /** The fleet's name: others may use the same engine. */
  readonly fleet: string
  readonly node: string
  readonly members: readonly PeerMember[]
  /** Where the other nodes ask this one. */
  readonly listen: Address | UnixAddress
  readonly secret: string | undefined
  /** Known to all nodes, and to no client: what views are hashed with. undefined: there is no such secret. */
  readonly viewSecret: string | undefined
  readonly tls: PeerCertificates | undefined
  /** Are all nodes on this host, with one cache directory? Then they may open each other's files. */
  readonly isOneHost: boolean
  readonly open: () => Promise<FleetEngine>
}

/** Returns this process's place in a fleet; undefined: it works alone. @throws ConfigError */
export async function placeOf(
  settings: Settings,
  worker: WorkerContext | undefined,
): Promise<FleetPlace | undefined> {
  if (worker) return placeOfWorker(worker)
  const { fleet, fleetName, fleetNode, fleetMembers, peer } = settings
  if (!fleet || fleetNode === undefined || !fleetMembers || !peer) return undefined
  const { secret, tls } = readFleetFiles(settings)
  return {
    ...{ fleet: fleetName, node: fleetNode, listen: peer, isOneHost: false },
    members: fleetMembers.map(({ name, url }) =>
      url.startsWith('unix:') ? { name, path: url.slice('unix:'.length) } : { name, url },
    ),
    ...{ secret, viewSecret: secret, tls },
    open: await openEngine(fleet, settings),
  }
}

/** Workers are known by being able to connect: their sockets are in a directory of the primary's. */
function placeOfWorker({ node, members, engine, secret }: WorkerContext): FleetPlace {
  const own = members.find(({ name }) => name === node)
  if (!own) throw new Error(`worker ${node} is not among the workers`)
  return {
    ...{ fleet: 'workers', node, members, listen: { path: own.path }, isOneHost: true },
    ...{ secret: undefined, viewSecret: secret, tls: undefined },
    open: () => Promise.resolve(engine),
  }
}
