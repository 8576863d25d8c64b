import type { Test } from 'tap'
import { createHash } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { FleetLeases } from '../../../src/freshness/fleet/fleet-leases.js'
import { FakeClock } from '../fake-clock.js'
import { LeaseEngine } from './lease-engine.js'

export interface LeaseNode {
  readonly leases: FleetLeases
  /** How the node reaches the engine. */
  readonly link: { state: 'up' | 'away' | 'lost' }
  /** Can other nodes tell it something, and it them? */
  reachable: boolean
  /** Subjects that have changed, in order. */
  readonly changed: string[]
}

export interface LeaseNodes {
  readonly engine: LeaseEngine
  readonly clock: FakeClock
  readonly nodes: readonly LeaseNode[]
  /** Adds a node. */
  start(): LeaseNode
  /** The subject of a repository at a node: each has them elsewhere. */
  readonly subject: (node: number, name: string) => string
  close(): void
}

const digestOf = (name: string): string => createHash('sha256').update(name).digest('base64url')

/** Opens nodes that share an engine, and tell each other directly what they cannot tell it. */
export function openLeaseNodes(count: number, t?: Test): LeaseNodes {
  const clock = new FakeClock()
  const engine = new LeaseEngine(clock)
  const nodes: LeaseNode[] = []
  const start = (): LeaseNode => {
    const root = `/root${nodes.length}/`
    const link: LeaseNode['link'] = { state: 'up' }
    const changed: string[] = []
    const leases: FleetLeases = new FleetLeases({
      engine: engine.at(link),
      clock,
      names: {
        nameOf: (subject) => subject.slice(root.length),
        subjectOf: (name) => root + name,
        digestOf,
      },
      tell: async (message) => {
        await yieldToEventLoop()
        const others = nodes.filter((other) => other !== node)
        const heard = others.filter((other) => other.reachable && node.reachable)
        for (const other of heard) other.leases.heard(JSON.parse(JSON.stringify(message)))
        await yieldToEventLoop()
        if (heard.length < others.length) throw new Error('one has not heard it')
      },
      events: { changed: (subject) => changed.push(subject.slice(root.length)) },
    })
    const node: LeaseNode = { leases, link, reachable: true, changed }
    nodes.push(node)
    return node
  }
  for (let number = 0; number < count; number++) start()
  const close = (): void => nodes.forEach(({ leases }) => leases.close())
  t?.teardown(close)
  return { engine, clock, nodes, start, subject: (node, name) => `/root${node}/${name}`, close }
}
