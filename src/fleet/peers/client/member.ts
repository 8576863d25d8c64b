import { Agent as HttpAgent } from 'node:http'
import {
  Agent as HttpsAgent,
  type AgentOptions,
  type RequestOptions as SecureRequestOptions,
} from 'node:https'
import { noSession } from '../protocol/request-head.js'

/** A node of the fleet, and where it listens for the others: a URL of a scheme, a host and a port; or a Unix socket. */
export type PeerMember =
  { readonly name: string; readonly url: string } | { readonly name: string; readonly path: string }

/** Certificates in PEM that this node shows, and by which it knows the others. */
export interface MemberTls {
  readonly cert: string
  readonly key: string
  /** Authorities that sign the certificates of nodes; undefined: the system's. */
  readonly ca?: string | undefined
}

/** Another node, and the connections to it. */
export class Member {
  readonly name: string
  /** The member's address, for messages. */
  readonly address: string
  /** The session of the node that was named last (server/nonce-sessions.ts). */
  session = noSession
  readonly isTls: boolean
  readonly #member: PeerMember
  readonly #kept: HttpAgent
  /** For requests that need a new connection, each its own. */
  readonly #single: HttpAgent
  #tls: MemberTls | undefined

  constructor(member: PeerMember, connections: number, tls: MemberTls | undefined) {
    this.#member = member
    this.name = member.name
    this.address = 'url' in member ? member.url : `unix:${member.path}`
    this.isTls = 'url' in member && member.url.startsWith('https:')
    this.#tls = tls
    // The connection that was used last is the most likely to be still open.
    this.#kept = this.#makeAgent({ keepAlive: true, maxSockets: connections, scheduling: 'lifo' })
    this.#single = this.#makeAgent({ keepAlive: false })
  }

  #makeAgent(options: AgentOptions): HttpAgent {
    return this.isTls ? new HttpsAgent(options) : new HttpAgent(options)
  }

  /** Uses other certificates for connections that are made from now on. */
  setTls(tls: MemberTls): void {
    this.#tls = tls
  }

  /** Returns how to connect. @param isNew on a connection of its own, made now */
  target(isNew: boolean): SecureRequestOptions {
    const agent = isNew ? this.#single : this.#kept
    if ('path' in this.#member) return { agent, socketPath: this.#member.path }
    const { hostname, port, protocol } = new URL(this.#member.url)
    const { cert, key, ca } = (this.isTls ? this.#tls : undefined) ?? {}
    return {
      agent,
      protocol,
      host: hostname.replace(/^\[|\]$/g, ''),
      ...(port !== '' && { port }),
      // Here and not in the agent, which keeps connections with other certificates apart.
      ...(cert !== undefined && { cert, key }),
      ...(ca !== undefined && { ca }),
    }
  }

  /** Questions that wait for a connection. */
  get waiting(): number {
    return Object.values(this.#kept.requests).reduce((sum, each) => sum + (each?.length ?? 0), 0)
  }

  /** Closes all connections. */
  close(): void {
    this.#kept.destroy()
    this.#single.destroy()
  }
}
