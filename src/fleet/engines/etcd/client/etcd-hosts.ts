import { isIP } from 'node:net'
import { checkServerIdentity } from 'node:tls'
import type { Client } from '@grpc/grpc-js'
import type { EngineAddress } from '../../../../config/values/fleet.js'
import type { Grpc } from './rpc.js'

/** PEM texts. */
export interface EtcdTls {
  /** Of the authorities that sign etcd's certificate; left out: the system's. */
  readonly ca?: Buffer | undefined
  /** Certificate and key that are shown to etcd. */
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
}

/** A member of etcd's cluster. */
export interface EtcdHost {
  /** HOST:PORT */
  readonly name: string
  readonly client: Client
}

const channelOptions = {
  // A host that has crashed, or that no packet reaches, is noticed. etcd refuses pings that come more often than every 5 s.
  'grpc.keepalive_time_ms': 6000,
  'grpc.keepalive_timeout_ms': 2000,
  // Defaults grow to two minutes without an attempt.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // Two engines in one process (tests) fail and recover apart.
  'grpc.use_local_subchannel_pool': 1,
  // The keys of one etcd lease end in one message.
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
}

/** A connection to each member of etcd's cluster, made when it is first used; one of them is used until it fails. */
export class EtcdHosts {
  readonly #grpc: Grpc
  readonly #address: EngineAddress
  readonly #tls: EtcdTls
  readonly #moved: () => void
  readonly #open = new Map<number, EtcdHost>()
  #current: number

  /** @param moved called when another host is used from now on */
  constructor(grpc: Grpc, address: EngineAddress, tls: EtcdTls, moved: () => void) {
    this.#grpc = grpc
    this.#address = address
    this.#tls = tls
    this.#moved = moved
    // Nodes share the work among the members.
    this.#current = Math.floor(Math.random() * address.hosts.length)
  }

  get current(): EtcdHost {
    const found = this.#open.get(this.#current) ?? this.#connect(this.#current)
    this.#open.set(this.#current, found)
    return found
  }

  /** Goes on to the next host if this one is still used. */
  moveFrom(host: EtcdHost): void {
    const { hosts } = this.#address
    if (hosts.length === 1 || this.#open.get(this.#current) !== host) return
    this.#current = (this.#current + 1) % hosts.length
    this.#moved()
  }

  close(): void {
    for (const { client } of this.#open.values()) client.close()
  }

  #connect(index: number): EtcdHost {
    const { host, port } = this.#address.hosts[index]!
    const name = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
    return { name, client: new this.#grpc.Client(name, ...this.#credentials(host)) }
  }

  #credentials(
    host: string,
  ): [ReturnType<Grpc['credentials']['createSsl']>, Record<string, string | number>] {
    const { credentials } = this.#grpc
    if (!this.#address.tls) return [credentials.createInsecure(), channelOptions]
    const { ca, cert, key } = this.#tls
    const pems = [ca ?? null, key ?? null, cert ?? null] as const
    if (isIP(host) === 0) return [credentials.createSsl(...pems), channelOptions]
    // RFC 6066 permits no address as the server's name, and Node warns of one; the certificate must hold the address.
    return [
      credentials.createSsl(...pems, {
        checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
      }),
      { ...channelOptions, 'grpc.ssl_target_name_override': 'etcd' },
    ]
  }
}
