import type { IncomingMessage, Server } from 'node:http'
import { createServer, type Server as NetServer, type Socket } from 'node:net'
import { createAdminDoor, type AdminOptions } from '../admin/door.js'
import type { Address, Settings, UnixAddress } from '../config/options.js'
import { GrpcDoor, type GrpcDoorOptions } from '../grpc/door.js'
import { createDoor, type DoorOptions } from '../http/door.js'
import type { Log } from '../telemetry/log.js'
import { listen } from './listen.js'

export interface DoorsOptions {
  readonly settings: Settings
  readonly door: DoorOptions
  readonly admin: AdminOptions
  readonly grpc: GrpcDoorOptions
  readonly log: Log
}

const defaultAdmin: Address = { host: '127.0.0.1', port: 8081 }

/** The doors that are open: one for Git's clients, one or more for the admin, and one for gRPC if that is asked for. */
export class Doors {
  readonly #options: DoorsOptions
  readonly #open: Server[] = []
  readonly #door: Server
  /** Connections on which no request has come yet. Node counts them as busy until the head of one is overdue. */
  readonly #unused = new Set<Socket>()
  url = ''
  /** Of the first admin door: a URL, or `unix:/path`. */
  adminUrl = ''
  /** `HOST:PORT`, or `unix:/path`, as gRPC's clients take it. */
  grpcTarget: string | undefined
  #grpc: { readonly door: GrpcDoor; readonly server: NetServer } | undefined

  private constructor(options: DoorsOptions) {
    this.#options = options
    this.#door = createDoor(options.door)
    this.#door.on('connection', (socket: Socket) => {
      this.#unused.add(socket)
      socket.once('close', () => this.#unused.delete(socket))
    })
    this.#door.on('request', ({ socket }: IncomingMessage) => this.#unused.delete(socket))
  }

  /** @throws ConfigError if one of them cannot be opened; then none is */
  static async open(options: DoorsOptions): Promise<Doors> {
    const doors = new Doors(options)
    try {
      doors.url = await doors.#listen(doors.#door, options.settings.listen, 'listen')
      const [first = ''] = await doors.#openAdmin(options.settings.admin)
      doors.adminUrl = first
      const { grpc } = options.settings
      if (grpc) doors.grpcTarget = await doors.#openGrpc(grpc)
      return doors
    } catch (error) {
      await doors.close()
      throw error
    }
  }

  async #openAdmin(addresses: Settings['admin']): Promise<string[]> {
    const openAt = (address: Address | UnixAddress): Promise<string> =>
      this.#listen(createAdminDoor(this.#options.admin), address, 'admin')
    const urls: string[] = []
    for (const address of addresses ?? []) urls.push(await openAt(address))
    if (addresses) return urls
    // If nobody has said where, a port that is taken is no reason not to start.
    return [await openAt(defaultAdmin).catch(() => openAt({ ...defaultAdmin, port: 0 }))]
  }

  async #openGrpc(address: Address | UnixAddress): Promise<string> {
    const door = new GrpcDoor(this.#options.grpc)
    const server = createServer({ noDelay: true }, (socket) => door.serve(socket))
    this.#grpc = { door, server }
    const url = await listen(server, address, 'grpc')
    this.#reportErrors(server)
    return url.replace(/^http:\/\//, '')
  }

  async #listen(server: Server, address: Address | UnixAddress, option: string): Promise<string> {
    const url = await listen(server, address, option)
    this.#open.push(server)
    this.#reportErrors(server)
    return url
  }

  /** accept() fails when file descriptors run out; those who are connected go on. */
  #reportErrors(server: NetServer): void {
    server.on('error', (err) => this.#options.log.error({ err }, 'a connection could not be accepted'))
  }

  /** Takes no new clients. Resolves when the last has its answer, or was cut off at the end of this time. */
  async drain(seconds: number): Promise<void> {
    this.#grpc?.server.close()
    await Promise.all([this.#drainHttp(seconds), this.#grpc?.door.drain(seconds)])
  }

  async #drainHttp(seconds: number): Promise<void> {
    const closed = new Promise((resolve) => this.#door.close(resolve))
    for (const socket of this.#unused) socket.destroy()
    const cut = setTimeout(() => this.#door.closeAllConnections(), seconds * 1000)
    // A kept-alive connection becomes idle when its answer is done.
    const idle = setInterval(() => this.#door.closeIdleConnections(), 100)
    await closed
    clearTimeout(cut)
    clearInterval(idle)
  }

  /** Closes all at once. */
  async close(): Promise<void> {
    this.#grpc?.door.close()
    this.#grpc?.server.close()
    for (const server of this.#open) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}
