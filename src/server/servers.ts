import type { IncomingMessage, Server } from 'node:http'
import { createServer, type Server as NetServer, type Socket } from 'node:net'
import { createAdminServer, type AdminServerOptions } from '../admin/server.js'
import type { Address, Settings, UnixAddress } from '../config/options.js'
import type { AuthorizeOptions } from '../grpc/authorize.js'
import type { GrpcServer, GrpcServerOptions } from '../grpc/server.js'
import { createHttpServer, type HttpServerOptions } from '../http/server.js'
import { callAfter } from '../limits/clock.js'
import type { Log } from '../telemetry/log.js'
import { listen } from './listen.js'
import type { Tls } from './tls.js'

type GrpcOptions = Omit<GrpcServerOptions, 'authorize' | 'clientOf'> & {
  readonly authorize: AuthorizeOptions
}

export interface ServersOptions {
  readonly settings: Settings
  readonly http: HttpServerOptions
  readonly admin: AdminServerOptions
  readonly grpc: GrpcOptions
  /** undefined: there are no `tls:` addresses. */
  readonly tls: Tls | undefined
  readonly log: Log
}

/** A server that connections are handed to, and what takes them for it: on TCP itself, on TLS a server before it. */
interface Open {
  readonly server: NetServer
  readonly front: NetServer
}

const defaultAdmin: Address = { host: '127.0.0.1', port: 8081 }

/** The doors that are open: one for Git's clients, one or more for the admin, and one for gRPC if that is asked for. */
export class Servers {
  readonly #options: ServersOptions
  readonly #open: Open[] = []
  readonly #http: Server
  readonly #admins: Server[] = []
  readonly #grpc: GrpcServer | undefined
  /** Connections on which no request has come yet. Node counts them as busy until the head of one is overdue. */
  readonly #unused = new Set<Socket>()
  url = ''
  /** Of the first admin door: a URL, or `unix:/path`. */
  adminUrl = ''
  /** `HOST:PORT`, or `unix:/path`, as gRPC's clients take it. */
  grpcTarget: string | undefined

  private constructor(options: ServersOptions, grpc: GrpcServer | undefined) {
    this.#options = options
    this.#grpc = grpc
    this.#http = createHttpServer(options.http)
    this.#http.on('connection', (socket: Socket) => {
      this.#unused.add(socket)
      socket.once('close', () => this.#unused.delete(socket))
    })
    for (const event of ['request', 'checkContinue']) {
      this.#http.on(event, ({ socket }: IncomingMessage) => this.#unused.delete(socket))
    }
  }

  /** @throws ConfigError if one of them cannot be opened; then none is */
  static async open(options: ServersOptions): Promise<Servers> {
    const doors = new Servers(options, options.settings.grpc && (await makeGrpcServer(options.grpc)))
    try {
      await doors.#openAll(options.settings)
      return doors
    } catch (error) {
      await doors.close()
      throw error
    }
  }

  async #openAll({ listen, admin, grpc }: Settings): Promise<void> {
    this.url = await this.#listen(this.#http, listen, 'listen')
    const openAdmin = (address: Address | UnixAddress): Promise<string> => {
      const server = createAdminServer(this.#options.admin)
      this.#admins.push(server)
      return this.#listen(server, address, 'admin')
    }
    for (const address of admin ?? []) {
      const url = await openAdmin(address)
      this.adminUrl ||= url
    }
    // If nobody has said where, a port that is taken is no reason not to start.
    if (!admin) {
      this.adminUrl = await openAdmin(defaultAdmin).catch((error: unknown) => {
        if (!isTaken((error as Error).cause)) throw error
        return openAdmin({ ...defaultAdmin, port: 0 })
      })
    }
    if (!grpc) return
    const server = createServer({ noDelay: true }, (socket) => this.#grpc?.serve(socket))
    const url = await this.#listen(server, grpc, 'grpc', 'h2')
    this.grpcTarget = url.replace(/^https?:\/\//, '')
  }

  async #listen(
    server: NetServer,
    address: Address | UnixAddress,
    option: string,
    protocol = 'http/1.1',
  ): Promise<string> {
    const front = 'tls' in address ? this.#options.tls!.terminator(server, protocol) : server
    const url = await listen(front, address, option)
    this.#open.push({ server, front })
    // accept() fails when file descriptors run out; those who are connected go on.
    front.on('error', (err) => this.#options.log.error({ err }, 'a connection could not be accepted'))
    return url
  }

  /** Takes no new clients. Resolves when the last has its answer, or was cut off at the end of this time. */
  async drain(seconds: number): Promise<void> {
    const data = this.#open.filter(({ server }) => !this.#admins.some((admin) => admin === server))
    const closed = Promise.all(data.map(closeOpen))
    this.#options.tls?.endHandshakes()
    for (const socket of this.#unused) socket.destroy()
    const stopTimer = callAfter(seconds * 1000, () => this.#http.closeAllConnections())
    // A kept-alive connection becomes idle when its answer is done.
    const idle = setInterval(() => this.#http.closeIdleConnections(), 100)
    await Promise.all([closed, this.#grpc?.drain(seconds)])
    stopTimer()
    clearInterval(idle)
  }

  /** Closes all at once. */
  async close(): Promise<void> {
    this.#options.tls?.endHandshakes()
    this.#grpc?.close()
    for (const server of [this.#http, ...this.#admins]) server.closeAllConnections()
    await Promise.all(this.#open.map(closeOpen))
  }
}

/** Its libraries are many: only who asks for this door waits until they are loaded. */
async function makeGrpcServer({ authorize, ...options }: GrpcOptions): Promise<GrpcServer> {
  const { GrpcServer: GrpcServer } = await import('../grpc/server.js')
  const { authorizeBy, clientBy } = await import('../grpc/authorize.js')
  return new GrpcServer({ ...options, authorize: authorizeBy(authorize), clientOf: clientBy(authorize) })
}

const isTaken = (cause: unknown): boolean =>
  (cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE'

/** Resolves when the last connection has gone; does nothing if it has been closed before. */
async function closeOpen({ server, front }: Open): Promise<void> {
  const closed = new Promise((resolve) => front.close(resolve))
  if (front !== server) server.close()
  await closed
}
