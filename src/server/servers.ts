import type { IncomingMessage, Server } from 'node:http'
import { createServer, type Server as NetServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAdminServer, type AdminServerOptions } from '../admin/server.js'
import { defaultAdminAddress, type Address, type UnixAddress } from '../config/values/addresses.js'
import type { Settings } from '../config/options/options.js'
import { ConfigError } from '../config/values/config-error.js'
import type { AuthorizeOptions } from '../grpc/authorize.js'
import type { GrpcServer, GrpcServerOptions } from '../grpc/server.js'
import type { Http2Server } from '../http/http2/server.js'
import { createHttpServer, type HttpServerOptions } from '../http/server.js'
import { callAfter } from '../limits/clock.js'
import type { Log } from '../telemetry/log.js'
import { listen } from './listen.js'
import type { PassedSocketName, PassedSockets } from './passed-sockets.js'
import type { ProxyProtocol } from './proxy-protocol/proxy-protocol.js'
import type { PreferredProtocol, TlsTerminator } from './tls-terminator.js'

type GrpcOptions = Omit<GrpcServerOptions, 'authorize' | 'clientOf' | 'adminOf'> & {
  readonly authorize: AuthorizeOptions
}

export interface ServersOptions {
  readonly settings: Pick<Settings, 'listen' | 'listenMode' | 'http2' | 'admin' | 'grpc'>
  readonly http: HttpServerOptions
  readonly admin: AdminServerOptions
  readonly grpc: GrpcOptions
  /** undefined: there are no `tls:` addresses. */
  readonly tls: TlsTerminator | undefined
  /** undefined: connections begin with the client's first byte. */
  readonly proxyProtocol: ProxyProtocol | undefined
  /** Are there workers already that listen on the same addresses? */
  readonly hasSiblings?: boolean | undefined
  /** Sockets that listen already, for the first addresses of their names; the other addresses are opened here. */
  readonly passed?: PassedSockets | undefined
  readonly log: Log
}

/** A server, and the one that accepts its connections: the same on TCP, a TLS server in front of it on TLS. */
interface Listener {
  readonly server: NetServer
  readonly front: NetServer
  /** Does another process hold the socket? Then connections that are not accepted wait for the next process. */
  readonly isHeld: boolean
}

/** Milliseconds between two closes of idle connections during a shutdown. */
const idleCheckMs = 100
/**
 * Milliseconds without a new connection after which a shutdown stops to listen, and those after which it does so in any case:
 * closing a listener resets the connections that it has not accepted yet, and a load balancer needs its time to see /readyz.
 */
const quietMs = 50
const lingerMaxMs = 1000

/** All servers that listen: one for Git clients, one or more for the admin API, and one for gRPC if it is configured. */
export class Servers {
  readonly #options: ServersOptions
  readonly #listeners: Listener[] = []
  readonly #http: Server
  /** Behind TLS, for clients that choose HTTP/2; undefined: it is not offered. */
  readonly #http2: Http2Server | undefined
  readonly #admins: Server[] = []
  /** Descriptors that no address has taken so far. */
  readonly #passed: Record<PassedSocketName, number[]>
  readonly #grpc: GrpcServer | undefined
  /** Connections without a request so far. Node counts them as busy until the head of a request is overdue. */
  readonly #unused = new Set<Socket>()
  /** When a client's connection was accepted last, in milliseconds as performance.now() has them. */
  #connectedAt = -Infinity
  url = ''
  /** Of the first admin address: a URL, or `unix:/path`. */
  adminUrl = ''
  /** `HOST:PORT` or `unix:/path`, as gRPC clients take it. */
  grpcTarget: string | undefined

  private constructor(options: ServersOptions, grpc: GrpcServer | undefined, http2: Http2Server | undefined) {
    const { listen = [], admin = [], grpc: calls = [] } = options.passed ?? {}
    this.#options = options
    this.#passed = { listen: [...listen], admin: [...admin], grpc: [...calls] }
    this.#grpc = grpc
    this.#http = createHttpServer(options.http)
    this.#http2 = http2
    this.#http.on('connection', (socket: Socket) => {
      this.#connectedAt = performance.now()
      this.#unused.add(socket)
      socket.once('close', () => this.#unused.delete(socket))
    })
    for (const event of ['request', 'checkContinue']) {
      this.#http.on(event, ({ socket }: IncomingMessage) => this.#unused.delete(socket))
    }
  }

  /** @throws ConfigError if one of the addresses cannot be listened on; then none is */
  static async open(options: ServersOptions): Promise<Servers> {
    const { grpc, http2 } = options.settings
    const servers = new Servers(
      options,
      grpc && (await makeGrpcServer(options.grpc)),
      http2 ? await makeHttp2Server(options.http) : undefined,
    )
    try {
      await servers.#openAll()
      return servers
    } catch (error) {
      await servers.close()
      throw error
    }
  }

  async #openAll(): Promise<void> {
    const { listen, admin, grpc } = this.#options.settings
    this.url = await this.#listen(this.#http, listen, 'listen')
    for (const address of admin ?? []) {
      const url = await this.#openAdmin(address)
      this.adminUrl ||= url
    }
    // A default that is in use does not keep the sidecar from starting.
    if (!admin) {
      this.adminUrl = await this.#openAdmin(defaultAdminAddress).catch((error: unknown) => {
        if (!isInUse((error as Error).cause)) throw error
        return this.#openAdmin({ ...defaultAdminAddress, port: 0 })
      })
    }
    if (grpc) await this.#openGrpc(grpc)
    for (const [option, { length }] of Object.entries(this.#passed)) {
      if (length > 0)
        throw new ConfigError(`--${option}: systemd has passed more sockets than there are addresses`)
    }
  }

  async #openGrpc(grpc: Address | UnixAddress): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => this.#grpc?.serve(socket))
    const url = await this.#listen(server, grpc, 'grpc', 'h2')
    this.grpcTarget = url.replace(/^https?:\/\//, '')
  }

  #openAdmin(address: Address | UnixAddress): Promise<string> {
    const server = createAdminServer(this.#options.admin)
    this.#admins.push(server)
    return this.#listen(server, address, 'admin')
  }

  async #listen(
    server: NetServer,
    address: Address | UnixAddress,
    option: PassedSocketName,
    protocol = 'http/1.1',
  ): Promise<string> {
    const descriptor = this.#passed[option].shift()
    const preferred = server === this.#http ? this.#preferred() : undefined
    const plain = 'tls' in address ? this.#options.tls!.inFrontOf(server, protocol, preferred) : server
    const proxyProtocol = option === 'listen' ? this.#options.proxyProtocol : undefined
    // Node's HTTP server alone lets clients close their side first.
    const front = proxyProtocol?.inFrontOf(plain, plain === server) ?? plain
    const mode = option === 'listen' ? this.#options.settings.listenMode : undefined
    const url = await listen(front, address, option, this.#options.hasSiblings, descriptor, mode)
    this.#listeners.push({ server, front, isHeld: descriptor !== undefined })
    // accept(2) fails when file descriptors run out; open connections are not affected.
    front.on('error', (err) => this.#options.log.error({ err }, 'cannot accept a connection'))
    return url
  }

  #preferred(): PreferredProtocol | undefined {
    const http2 = this.#http2
    return (
      http2 && {
        name: 'h2',
        accept: (socket) => {
          this.#connectedAt = performance.now()
          http2.accept(socket)
        },
      }
    )
  }

  /**
   * Accepts no new connections once none come any more, after a second at most; on sockets that another process holds, from
   * now on. Resolves when all requests are answered; connections that are still busy after this time are closed. The admin
   * API stays open.
   */
  async drain(seconds: number): Promise<void> {
    const began = performance.now()
    const listeners = this.#data()
    const held = listeners.filter(({ isHeld }) => isHeld).map(closeListener)
    await this.#quiet(Math.min(lingerMaxMs, (seconds * 1000) / 2))
    const closed = [...held, ...listeners.filter(({ isHeld }) => !isHeld).map(closeListener)]
    await this.#end(closed, Math.max(0, seconds - (performance.now() - began) / 1000))
  }

  async #quiet(ms: number): Promise<void> {
    const until = performance.now() + ms
    const leftMs = (): number => Math.min(this.#connectedAt + quietMs, until) - performance.now()
    for (let left = leftMs(); left > 0; left = leftMs()) await sleep(left)
  }

  /** All but those of the admin API. */
  #data(): Listener[] {
    return this.#listeners.filter(({ server }) => !this.#admins.some((admin) => admin === server))
  }

  async #end(closed: readonly Promise<void>[], seconds: number): Promise<void> {
    this.#endBeginnings()
    for (const socket of this.#unused) socket.destroy()
    this.#http2?.endConnections()
    const stopTimer = callAfter(seconds * 1000, () => this.#closeConnections())
    // A kept-alive connection becomes idle when its response ends.
    const idle = setInterval(() => this.#http.closeIdleConnections(), idleCheckMs)
    await Promise.all([...closed, this.#grpc?.drain(seconds)])
    stopTimer()
    clearInterval(idle)
  }

  /** Closes connections that cannot have a request yet. */
  #endBeginnings(): void {
    this.#options.proxyProtocol?.endWaiting()
    this.#options.tls?.endHandshakes()
  }

  #closeConnections(): void {
    this.#http.closeAllConnections()
    this.#http2?.closeAllConnections()
  }

  /** Closes all servers and connections at once. */
  async close(): Promise<void> {
    this.#endBeginnings()
    this.#grpc?.close()
    this.#closeConnections()
    for (const admin of this.#admins) admin.closeAllConnections()
    await Promise.all(this.#listeners.map(closeListener))
  }
}

/** Loads the gRPC libraries, which take long, only where a gRPC server is configured. */
async function makeGrpcServer({ authorize, ...options }: GrpcOptions): Promise<GrpcServer> {
  const { GrpcServer } = await import('../grpc/server.js')
  const { adminBy, authorizeBy, clientBy } = await import('../grpc/authorize.js')
  return new GrpcServer({
    ...options,
    authorize: authorizeBy(authorize),
    clientOf: clientBy(authorize),
    adminOf: adminBy(authorize),
  })
}

/** The same for HTTP/2. */
async function makeHttp2Server(options: HttpServerOptions): Promise<Http2Server> {
  const { Http2Server } = await import('../http/http2/server.js')
  return new Http2Server(options)
}

const isInUse = (cause: unknown): boolean =>
  (cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE'

/** Resolves when the last connection is closed; also for a listener that was closed before. */
async function closeListener({ server, front }: Listener): Promise<void> {
  const closed = new Promise((resolve) => front.close(resolve))
  if (front !== server) server.close()
  await closed
}
