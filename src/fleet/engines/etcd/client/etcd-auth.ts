import type { Metadata } from '@grpc/grpc-js'
import { isTokenOld } from './etcd-error.js'
import type { EtcdHost } from './etcd-hosts.js'
import type { Rpc } from './rpc.js'

/** Gets a token for a user and a password, which etcd forgets after some minutes without use and when it restarts. */
export class EtcdAuth {
  readonly #rpc: Rpc
  readonly #user: { readonly name: string; readonly password: string } | undefined
  readonly #authenticate: (host: EtcdHost, user: { name: string; password: string }) => Promise<string>
  #metadata: Promise<Metadata> | undefined

  /** @param authenticate asks a host for a token */
  constructor(
    rpc: Rpc,
    { username, password }: { readonly username: string | undefined; readonly password: string | undefined },
    authenticate: (host: EtcdHost, user: { name: string; password: string }) => Promise<string>,
  ) {
    this.#rpc = rpc
    this.#user = username === undefined ? undefined : { name: username, password: password ?? '' }
    this.#authenticate = authenticate
  }

  /** Calls with the metadata that a user's calls need, once more with a new token if etcd does not know the old one. */
  async authorized<T>(host: EtcdHost, call: (metadata: Metadata) => Promise<T>): Promise<T> {
    const metadata = this.metadata(host)
    try {
      return await call(await metadata)
    } catch (error) {
      if (!this.#user || !isTokenOld(error)) throw error
      this.forget(metadata)
      return call(await this.metadata(host))
    }
  }

  metadata(host: EtcdHost): Promise<Metadata> {
    if (this.#metadata) return this.#metadata
    const made = this.#make(host)
    this.#metadata = made
    made.catch(() => this.forget(made))
    return made
  }

  /** @param which left out: whatever there is */
  forget(which = this.#metadata): void {
    if (this.#metadata === which) this.#metadata = undefined
  }

  async #make(host: EtcdHost): Promise<Metadata> {
    const metadata = new this.#rpc.grpc.Metadata()
    if (!this.#user) return metadata
    try {
      metadata.set('token', await this.#authenticate(host, this.#user))
    } catch (error) {
      // Users may be configured here before they are switched on there.
      if (!/authentication is not enabled/.test((error as Error).message)) throw error
    }
    return metadata
  }
}
