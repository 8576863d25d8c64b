import type { Socket } from 'node:net'
import {
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation } from 'grpc-health-check'
import type { CacheInspector } from '../service/cache-inspector.js'
import { callAfter, timerMaxMs } from '../limits/clock.js'
import type { LeaseService } from '../service/lease-service.js'
import type { AdminOf, Authorize, ClientOf } from './authorize.js'
import type { Caller, CallTarget } from './call.js'
import { cacheService } from './services/cache-service.js'
import { LeaseCalls } from './services/lease-service.js'
import { http2Server } from './transport/http2-server.js'
import { IncomingRequests } from './transport/incoming-requests.js'
import { liftLongDeadlines } from './transport/long-deadlines.js'
import { packages, serviceNamed } from './proto/definitions.js'
import { refService } from './services/ref-service.js'
import { StandingCalls } from './transport/standing-calls.js'
import { smartHttpService, type SmartHttpOptions } from './services/smart-http-service.js'

export interface GrpcServerOptions extends Omit<SmartHttpOptions, 'authorize' | 'clientOf'> {
  /** Checks access before any repository is touched. */
  readonly authorize: Authorize
  readonly clientOf: ClientOf
  readonly adminOf: AdminOf
  readonly leases: LeaseService
  readonly inspector: CacheInspector | undefined
  /** Longest time limit of a lease, in seconds. */
  readonly leaseMaxSeconds: number
  readonly invalidated: (source: string) => void
  /** Returns why load balancers should send no requests; undefined: they should. */
  readonly notReady: () => string | undefined | Promise<string | undefined>
  readonly reflection: boolean
  /** Milliseconds in which a client must send something of a request that it has begun. */
  readonly requestIdleMs: number
  /** Milliseconds after which a connection that answers no ping is cut. */
  readonly clientIdleMs: number
}

/** Most streams of one connection at once; more wait in the client. One connection of a load balancer carries many clients. */
const streamsMax = 1000
/** Most bytes of a request: the prefixes of a ListRefs may be long. */
const requestMax = 1024 * 1024
/** Most bytes of requests that have not come whole: on all connections, and of messages on one. */
const incomingMax = { maxBytes: 64 * 1024 * 1024, connectionBytes: 4 * requestMax }
/** Most standing calls of one connection. A client needs one for each service. */
const standingMax = 100
/** Milliseconds without a call after which a connection is closed. Clients reconnect by themselves. */
const idleMs = 300_000
/** Milliseconds between pings: a client that has vanished must not hold a lease for long. */
const pingMs = 30_000
/** Milliseconds between checks whether this process is ready. */
const healthMs = 1000

/** The gRPC server: offers what the HTTP server does, and what the admin server offers to mutators. */
export class GrpcServer {
  readonly #server: Server
  readonly #injector: ReturnType<Server['createConnectionInjector']>
  readonly #health = new HealthImplementation({ '': 'SERVING' })
  readonly #healthCheck: NodeJS.Timeout
  readonly #leaseCalls: LeaseCalls
  /** TCP connections by their peer, `ADDRESS:PORT`, as grpc-js names it in a call. */
  readonly #connections = new Map<string, Socket>()
  /** All connections, including those on Unix sockets. */
  readonly #open = new Set<Socket>()
  readonly #standing: StandingCalls
  /** Services whose health is published; the empty name stands for all of them. */
  readonly #names: readonly string[]
  #healthy = true
  #closing = false

  constructor(options: GrpcServerOptions) {
    // It would write metadata that it cannot read to stderr, including credentials.
    setLogVerbosity(logVerbosity.NONE)
    const incoming = new IncomingRequests({
      ...incomingMax,
      idleMs: options.requestIdleMs,
      cut: (reason) => options.metrics.incomingCut.inc({ reason }),
    })
    this.#server = new Server({
      'grpc.max_concurrent_streams': streamsMax,
      'grpc.max_receive_message_length': requestMax,
      'grpc.max_connection_idle_ms': idleMs,
      'grpc.keepalive_time_ms': pingMs,
      'grpc.keepalive_timeout_ms': Math.min(options.clientIdleMs, timerMaxMs),
      // A registry of every connection and call, for a service that is not offered here.
      'grpc.enable_channelz': 0,
      interceptors: [incoming.interceptor],
    })
    this.#standing = new StandingCalls(this.#server, standingMax)
    const calls = {
      ...options,
      authorize: (caller: Caller, wanted: CallTarget) =>
        options.authorize(caller, wanted, this.#connections.get(caller.getPeer())),
      clientOf: (caller: Caller) => options.clientOf(caller, this.#connections.get(caller.getPeer())),
    }
    this.#leaseCalls = new LeaseCalls(calls)
    const services: Record<string, UntypedServiceImplementation> = {
      'refstream.v1.RefService': refService(calls),
      'refstream.v1.LeaseService': this.#leaseCalls.handlers,
      'refstream.v1.CacheService': cacheService(calls),
      'gitaly.SmartHTTPService': smartHttpService(calls),
    }
    for (const [name, handlers] of Object.entries(services)) {
      this.#server.addService(serviceNamed(name), handlers)
      this.#health.setStatus(name, 'SERVING')
    }
    this.#names = ['', ...Object.keys(services)]
    this.#healthCheck = setInterval(() => void this.#checkHealth(options.notReady), healthMs).unref()
    this.#standing.addService(['Watch'], (server) => this.#health.addToServer(server))
    if (options.reflection) {
      const reflection = new ReflectionService(packages)
      this.#standing.addService(['ServerReflectionInfo'], (server) => reflection.addToServer(server))
    }
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure())
    const http2 = http2Server(this.#server)
    incoming.watch(http2)
    liftLongDeadlines(http2)
  }

  /** Serves a connection that speaks HTTP/2 from the first byte, with TLS or without. */
  serve(connection: Socket): void {
    // A connection that breaks is no error of the server, and may break after HTTP/2 has finished with it.
    connection.on('error', () => {})
    const { remoteAddress, remotePort } = connection
    if (remotePort !== undefined) {
      const peer = `${remoteAddress}:${remotePort}`
      // One client port may be connected to two addresses of this host; their calls would be confused.
      if (this.#connections.has(peer)) {
        connection.destroy()
        return
      }
      this.#connections.set(peer, connection)
      connection.once('close', () => this.#connections.delete(peer))
    }
    // grpc-js would serve it, even after its shutdown.
    if (this.#closing) {
      connection.destroy()
      return
    }
    this.#open.add(connection)
    connection.once('close', () => this.#open.delete(connection))
    this.#injector.injectConnection(connection)
  }

  /** Takes no new calls. Resolves when the last has its answer, or has been cut at the end of this time. */
  async drain(seconds: number): Promise<void> {
    this.#closing = true
    clearInterval(this.#healthCheck)
    this.#publish(false)
    this.#leaseCalls.handOver()
    this.#standing.end()
    const stopTimer = callAfter(seconds * 1000, () => this.close())
    await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()))
    // From Node 24 on, http2's server.close() closes its sessions itself, and grpc-js does not wait for a closing session.
    await Promise.all([...this.#open].map((open) => new Promise((resolve) => open.once('close', resolve))))
    stopTimer()
    this.close()
  }

  /** Cuts every call. */
  close(): void {
    this.#closing = true
    clearInterval(this.#healthCheck)
    this.#server.forceShutdown()
    // forceShutdown does not reach injected connections.
    for (const connection of this.#open) connection.destroy()
  }

  async #checkHealth(notReady: GrpcServerOptions['notReady']): Promise<void> {
    const reason = notReady()
    const healthy = (reason instanceof Promise ? await reason : reason) === undefined
    if (!this.#closing) this.#publish(healthy)
  }

  #publish(healthy: boolean): void {
    if (healthy === this.#healthy) return
    this.#healthy = healthy
    for (const name of this.#names) this.#health.setStatus(name, healthy ? 'SERVING' : 'NOT_SERVING')
  }
}
