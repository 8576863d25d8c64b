import type { ClientDuplexStream, Metadata } from '@grpc/grpc-js'
import type { EngineAddress } from '../../../../config/values/fleet.js'
import { EtcdAuth } from './etcd-auth.js'
import { EtcdError, isAway, isTokenOld, isUnavailable } from './etcd-error.js'
import { EtcdHosts, type EtcdHost, type EtcdTls } from './etcd-hosts.js'
import type { RangeRequest, RangeResponse, TxnRequest, TxnResponse, WatchResponse } from './messages.js'
import { loadRpc, type Method, type Rpc, type WatchRequest } from './rpc.js'

export interface EtcdClientOptions {
  readonly address: EngineAddress
  readonly tls?: EtcdTls | undefined
}

/** A stream of changes. Its first message is to be written to it. */
export interface EtcdWatchStream {
  readonly stream: ClientDuplexStream<WatchRequest, WatchResponse>
  /** To be called when the stream has failed, or when nothing has come from it in time. */
  failed(error: unknown): void
}

interface Open {
  readonly rpc: Rpc
  readonly hosts: EtcdHosts
  readonly auth: EtcdAuth
}

/**
 * Calls etcd. A call that finds no connection is tried once with each of the other members; it has to be one whose repetition
 * does no harm. A member that does not answer in time is not used for the next calls if there is another one.
 */
export class EtcdClient {
  readonly #options: EtcdClientOptions
  readonly #deadlineMs: number
  #opening: Promise<Open> | undefined
  #closed = false
  /** Called when another member is used from now on. */
  moved: () => void = () => undefined

  constructor(options: EtcdClientOptions) {
    this.#options = options
    // With several members, the next one is tried while the caller still expects little of this one.
    this.#deadlineMs = options.address.hosts.length > 1 ? 1000 : 3000
  }

  /** Reads and writes atomically; what only reads is linearizable. */
  txn(request: TxnRequest): Promise<TxnResponse> {
    return this.#call(({ txn }) => txn, request)
  }

  /** Reads; linearizable. */
  range(request: RangeRequest): Promise<RangeResponse> {
    return this.#call(({ range }) => range, request)
  }

  /** Makes an etcd lease, which lasts at least that many seconds. @returns its id */
  async grant(seconds: number): Promise<string> {
    return (await this.#call(({ grant }) => grant, { TTL: seconds })).ID
  }

  /** Ends an etcd lease and removes its keys. */
  async revoke(id: string): Promise<void> {
    await this.#call(({ revoke }) => revoke, { ID: id })
  }

  /** Returns the seconds that an etcd lease lasts, rounded down; -1: there is none. */
  async timeToLive(id: string): Promise<number> {
    return Number((await this.#call(({ timeToLive }) => timeToLive, { ID: id })).TTL)
  }

  async watch(): Promise<EtcdWatchStream> {
    const { rpc, hosts, auth } = await this.#open()
    const host = hosts.current
    try {
      const metadata = (await auth.metadata(host)).clone()
      // A member that has lost its leader ends the stream instead of keeping it without changes.
      metadata.set('hasleader', 'true')
      this.#demandOpen()
      const { path, requestSerialize, responseDeserialize } = rpc.watch
      return {
        stream: host.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata),
        failed: (error) => {
          const wrapped = EtcdError.of(error, host.name)
          // This is what etcd says of watches without a token that it knows.
          if (isTokenOld(wrapped) || wrapped.message.includes('permission denied')) auth.forget()
          else hosts.moveFrom(host)
        },
      }
    } catch (error) {
      if (isAway(error)) hosts.moveFrom(host)
      throw error
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const open = await this.#opening?.catch(() => undefined)
    open?.hosts.close()
  }

  async #call<Request, Response>(
    choose: (rpc: Rpc) => Method<Request, Response>,
    request: Request,
  ): Promise<Response> {
    const { rpc, hosts, auth } = await this.#open()
    for (let left = this.#options.address.hosts.length; ; left--) {
      const host = hosts.current
      try {
        return await auth.authorized(host, (metadata) => this.#ask(host, choose(rpc), request, metadata))
      } catch (error) {
        if (isAway(error) && !this.#closed) hosts.moveFrom(host)
        if (!isUnavailable(error) || left <= 1) throw error
      }
    }
  }

  #ask<Request, Response>(
    host: EtcdHost,
    { path, requestSerialize, responseDeserialize }: Method<Request, Response>,
    request: Request,
    metadata: Metadata,
  ): Promise<Response> {
    this.#demandOpen()
    return new Promise((resolve, reject) => {
      host.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        { deadline: Date.now() + this.#deadlineMs },
        (error, response) => (error ? reject(EtcdError.of(error, host.name)) : resolve(response!)),
      )
    })
  }

  #open(): Promise<Open> {
    if (this.#opening) return this.#opening
    const opening = this.#load()
    this.#opening = opening
    // A library that could not be loaded may be there later.
    opening.catch(() => (this.#opening = undefined))
    return opening
  }

  async #load(): Promise<Open> {
    const rpc = await loadRpc()
    this.#demandOpen()
    const { address, tls = {} } = this.#options
    const hosts = new EtcdHosts(rpc.grpc, address, tls, () => this.moved())
    const auth = new EtcdAuth(rpc, address, async (host, user) => {
      const metadata = new rpc.grpc.Metadata()
      return (await this.#ask(host, rpc.authenticate, user, metadata)).token
    })
    return { rpc, hosts, auth }
  }

  /** @throws EtcdError after close() */
  #demandOpen(): void {
    if (this.#closed) throw new EtcdError('the connection to etcd is closed')
  }
}
