import { isLocal, type Address } from '../values/addresses.js'
import { fleetOptions } from '../options/fleet.js'
import { isGiven } from './given.js'
import type { Settings } from '../options/options.js'

/** Finds what contradicts itself in the settings of fleets. */
export function* fleetMistakes(settings: Settings): Generator<string> {
  const { fleet, workers } = settings
  if (!fleet) {
    const idle = fleetOptions
      .filter((option) => !ofAnyProcess.includes(option.key) && isGiven(settings, option))
      .map(({ name }) => `--${name}`)
    if (idle.length > 0) yield `${idle.join(', ')}: give --fleet too, or leave this out`
    return
  }
  if (workers > 1) yield '--workers and --fleet: give one of them; in a fleet, start one node for each core'
  yield* memberMistakes(settings)
  yield* peerMistakes(settings)
  yield* credentialMistakes(settings)
  const { fleetTlsCa, fleetTlsCert, fleetTlsKey } = settings
  if ((fleetTlsCert === undefined) !== (fleetTlsKey === undefined)) {
    yield '--fleet-tls-cert and --fleet-tls-key: give both, or neither'
  }
  if (!fleet.tls && (fleetTlsCa ?? fleetTlsCert ?? fleetTlsKey) !== undefined) {
    yield '--fleet-tls-ca, --fleet-tls-cert, --fleet-tls-key: only for an engine with TLS, such as rediss: or etcds:'
  }
}

const ofAnyProcess: readonly string[] = ['workers', 'fleet']

function* memberMistakes({ fleetMembers, fleetNode }: Settings): Generator<string> {
  if (fleetNode === undefined) yield '--fleet needs --fleet-node, which names this node'
  if (!fleetMembers) {
    yield '--fleet needs --fleet-members, the nodes and where they listen for each other'
    return
  }
  const names = fleetMembers.map(({ name }) => name)
  const double = names.find((name, index) => names.indexOf(name) < index)
  if (double !== undefined) yield `--fleet-members: ${double} stands there twice; give each node one name`
  if (fleetNode !== undefined && !names.includes(fleetNode)) {
    yield `--fleet-node ${fleetNode} is not among --fleet-members; add it, or correct the name`
  }
}

function* peerMistakes(settings: Settings): Generator<string> {
  const { fleetSecretFile, peer, peerTlsCa, peerTlsCert, peerTlsKey, fleetMembers = [] } = settings
  if (!peer) yield '--fleet needs --peer, where this node listens for the others'
  if (peer && 'tls' in peer) yield '--peer: leave tls: out, and give --peer-tls-cert and --peer-tls-key'
  if ((peerTlsCert === undefined) !== (peerTlsKey === undefined)) {
    yield '--peer-tls-cert and --peer-tls-key: give both, or neither'
  }
  if (fleetSecretFile === undefined && peerTlsCa === undefined) {
    yield '--fleet needs --fleet-secret-file, or certificates (--peer-tls-ca), by which nodes know each other'
  }
  if (peerTlsCa !== undefined && peerTlsCert === undefined) {
    yield '--peer-tls-ca needs --peer-tls-cert: each node must show a certificate'
  }
  const plain = fleetMembers.filter(({ url }) => url.startsWith('http:')).map(({ name }) => name)
  if (peerTlsCert !== undefined && plain.length > 0) {
    yield `--peer-tls-cert: the URLs of ${plain.join(', ')} in --fleet-members must begin with https: then`
  }
}

/** The credentials of an upstream's clients go to the node that asks in their name. */
function* credentialMistakes({
  upstream,
  upstreamCredentials,
  fleetMembers = [],
}: Settings): Generator<string> {
  if (!upstream || upstreamCredentials === 'service') return
  const open = fleetMembers.filter(({ url }) => url.startsWith('http:') && !isLocal(addressOf(url)))
  if (open.length > 0) {
    yield `--fleet-members: ${open.map(({ name }) => name).join(', ')} would be sent the clients’ credentials for the upstream without encryption; use https: URLs, or --upstream-credentials service`
  }
}

const addressOf = (url: string): Address => {
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
}
