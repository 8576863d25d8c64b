import type { Test } from 'tap'
import { fleetParts } from '../../../src/assembly/fleet/origin-runs.js'
import { subjectNames } from '../../../src/assembly/fleet/subject-names.js'
import { EngineGate } from '../../../src/fleet/engine-gate.js'
import type { FleetEngine } from '../../../src/fleet/engine.js'
import { TableEngine } from '../../../src/fleet/engines/table/table-engine.js'
import { SharedFills } from '../../../src/fleet/fills/shared-fills.js'
import { Members } from '../../../src/fleet/members.js'
import { FleetNames } from '../../../src/fleet/names.js'
import {
  PeerRefused,
  PeerUnreachable,
  type AnsweredEntry,
  type PeerAnswer,
  type PeerQuestion,
  type Peers,
} from '../../../src/fleet/peers/peer.js'
import { FleetLeases } from '../../../src/freshness/fleet/fleet-leases.js'
import { OriginFaults } from '../../../src/origin/peers/fault-codec.js'
import { PeerAnswers } from '../../../src/origin/peers/peer-answers.js'
import { upstreamFaults } from '../../../src/origin/upstream/upstream-faults.js'
import { createLog } from '../../../src/telemetry/log.js'
import { openOriginsOf, type OpenedOrigins, type OpenPlace } from '../origins.js'

type Flags = Readonly<Record<string, string | boolean>>

export interface OriginNodesOptions {
  /** As of workers: nodes name states alike, and open one another's files. */
  readonly isOneHost?: boolean
  /** Returns further flags of a node. */
  readonly flagsOf?: (node: string) => Flags
  /** Returns variables that the Git of a node gets besides the usual ones. */
  readonly environmentOf?: (node: string) => NodeJS.ProcessEnv
}

/** A question between nodes. */
export interface AskedPeer {
  readonly from: string
  readonly to: string
  readonly question: PeerQuestion
  /** Why it was not answered with bytes. */
  error?: unknown
  /** Does the asking node follow an entry of the other one, or has it? */
  isAnswered?: true
}

/** Nodes in this process, each with caches and origins of its own, on one engine. They ask one another without a network. */
export class OriginNodes {
  readonly engine: FleetEngine = new TableEngine()
  readonly asked: AskedPeer[] = []
  readonly answers = new Map<string, PeerAnswers>()
  readonly codec = new OriginFaults(upstreamFaults)
  /** Called before a node answers, so that a test can hold it up. */
  beforeAnswer: (asked: AskedPeer) => Promise<void> | void = () => {}

  /** Nodes that cannot be reached. */
  readonly down = new Set<string>()

  peersOf(from: string): Peers {
    return {
      ask: (to, question, { sha256, signal }) =>
        this.#ask({ from, to, question: overJson(question) }, sha256, signal),
      tell: async (message) => {
        for (const [to, answers] of this.answers) if (to !== from) answers.hear(overJson(message))
      },
    }
  }

  async #ask(asked: AskedPeer, sha256: string | undefined, signal: AbortSignal): Promise<PeerAnswer> {
    this.asked.push(asked)
    const { to, question } = asked
    try {
      await this.beforeAnswer(asked)
      const answers = this.answers.get(to)
      if (!answers || this.down.has(to)) throw new PeerUnreachable(to)
      const answered = await answers.answer(question, signal)
      const { ageMs } = answered
      asked.isAnswered = true
      if (sha256 !== undefined && sha256 === answered.sha256) {
        answered.follower.close()
        return { body: 'unchanged', ageMs, notes: () => ({}) }
      }
      return { body: this.#stream(answered), ageMs, notes: () => overJson(answered.notes?.() ?? {}) }
    } catch (error) {
      asked.error = this.#told(error)
      throw asked.error
    }
  }

  async *#stream({ follower }: AnsweredEntry): AsyncGenerator<Buffer> {
    try {
      yield* follower
    } catch (error) {
      throw this.#told(error)
    }
  }

  /** Returns an error as another node gets to know it. */
  #told(error: unknown): Error {
    return error instanceof PeerRefused || error instanceof PeerUnreachable
      ? error
      : this.codec.decode(overJson(this.codec.encode(error)))
  }
}

const overJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

export interface OriginNode extends OpenedOrigins<FleetLeases> {
  readonly name: string
  readonly fills: SharedFills
}

/** Opens nodes of these names, whose origins are those that the flags of `serve` mean. Closed with the test. */
export async function openOriginNodes(
  t: Test,
  names: readonly string[],
  flags: Flags,
  { isOneHost = false, flagsOf = () => ({}), environmentOf = () => ({}) }: OriginNodesOptions = {},
): Promise<{ fleet: OriginNodes; nodes: OriginNode[] }> {
  const fleet = new OriginNodes()
  const nodes: OriginNode[] = []
  for (const name of names) {
    const place = { all: names, isOneHost, environment: environmentOf(name) }
    nodes.push(await openNode(t, fleet, name, { ...flags, ...flagsOf(name) }, place))
  }
  return { fleet, nodes }
}

interface NodePlace {
  readonly all: readonly string[]
  readonly isOneHost: boolean
  readonly environment: NodeJS.ProcessEnv
}

async function openNode(
  t: Test,
  fleet: OriginNodes,
  node: string,
  flags: Flags,
  { all, isOneHost, environment }: NodePlace,
): Promise<OriginNode> {
  const names = new FleetNames('test')
  let fills!: SharedFills
  const openPlace: OpenPlace<FleetLeases> = (parts) => {
    const { root, metrics } = parts
    const gate = new EngineGate({ open: async () => fleet.engine, metrics, log: createLog('silent') })
    const peers = fleet.peersOf(node)
    const leases = new FleetLeases({
      engine: gate,
      names: subjectNames(root, (name) => names.repository(name)),
      tell: (message) => peers.tell(message),
      events: { changed: parts.changed },
    })
    fills = new SharedFills({
      ...{ engine: gate, peers, names, node, metrics, limitMs: 60_000, filesAreShared: isOneHost },
      members: new Members({ engine: gate, node, configured: all, metrics }),
      encode: (error) => fleet.codec.encode(error),
    })
    t.teardown(() => (fills.close(), gate.close()))
    const part = { fills, leases, isOneHost, viewKey: Buffer.alloc(32) }
    return {
      leases,
      fleet: fleetParts(part as never, { refs: parts.cache, packs: parts.packStreams }, parts.limits.backOff),
    }
  }
  const origins = await openOriginsOf(t, flags, { openPlace, environment })
  const { disk, upstream, leases } = origins
  fleet.answers.set(
    node,
    new PeerAnswers({
      disk: disk?.peers,
      upstream: upstream?.peers,
      hear: (message) => leases.heard(message),
    }),
  )
  return { ...origins, name: node, fills }
}
