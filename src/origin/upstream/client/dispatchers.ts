import { rootCertificates } from 'node:tls'
import { Agent, EnvHttpProxyAgent, Pool, type Dispatcher } from 'undici'
import { systemClock, type Clock } from '../../../limits/clock.js'
import { AddressRules, type Resolve } from './address-rules.js'
import { Connection } from './connection.js'
import { KeptPool } from './kept-pool.js'

export interface DispatcherOptions {
  /** Most connections to one host. */
  readonly connections: number
  /** Milliseconds for a connection: name, TCP, a proxy's tunnel, and TLS. */
  readonly connectMs: number
  /** Certificates of authorities that are trusted instead of the usual ones; PEM. */
  readonly ca?: string | undefined
  /** The client certificate and its key; PEM. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** May HTTP/2 be used where a server offers it? One request at a time on each connection even so. */
  readonly http2?: boolean | undefined
  /** Where HTTPS_PROXY, HTTP_PROXY and NO_PROXY are looked up, in lower case too; undefined: no proxies. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
  readonly clock?: Clock | undefined
  /** Resolves names; for tests. */
  readonly resolve?: Resolve | undefined
}

/** Milliseconds for which an idle connection is kept unless the server announces how long it keeps it. */
const idleMs = 30_000

/** undici's agents, direct and over proxies, and the connections that they have open. */
export class Dispatchers {
  readonly #byScheme: Readonly<Record<string, Dispatcher>>
  readonly #open = new Set<Connection>()
  readonly #options: DispatcherOptions
  readonly #changed: (open: number) => void

  /** @param changed called with the number of open connections when it changes */
  constructor(options: DispatcherOptions, rules: AddressRules, changed: (open: number) => void = () => {}) {
    this.#options = options
    this.#changed = changed
    const { ca, cert, key, http2 = false, connectMs, resolve, environment = {} } = options
    const tls = { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert, key }) }
    const common = {
      // Each connection has a time limit of its own.
      connect: { ...tls, allowH2: http2, timeout: 0, lookup: rules.lookup(resolve) },
      allowH2: http2,
      factory: (origin: string | URL, given: object) => this.#pool(origin, given),
    }
    const direct = new Agent(common)
    const proxied = {
      ...common,
      // As Git's clients do: plain HTTP is not tunnelled.
      proxyTunnel: false,
      requestTls: { ...tls, allowH2: http2, timeout: 0 },
      proxyTls: { timeout: connectMs, ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }) },
      clientFactory: (origin: URL, given: object) =>
        new Pool(origin, { ...given, headersTimeout: connectMs, bodyTimeout: connectMs }),
    }
    const proxyOf = (name: string): string | undefined =>
      environment[name] || environment[name.toUpperCase()] || undefined
    const noProxy = proxyOf('no_proxy') ?? ''
    const [http, https] = [proxyOf('http_proxy'), proxyOf('https_proxy')]
    // An agent for each scheme, since undici's would use HTTP_PROXY for HTTPS too. What is given is not looked up in
    // the environment of this process.
    this.#byScheme = {
      'http:': http
        ? new EnvHttpProxyAgent({ ...proxied, httpProxy: http, httpsProxy: '', noProxy })
        : direct,
      'https:': https
        ? new EnvHttpProxyAgent({ ...proxied, httpProxy: '', httpsProxy: https, noProxy })
        : direct,
    }
  }

  /** Returns the dispatcher for URLs with this scheme, `http:` or `https:`. */
  for(scheme: string): Dispatcher {
    return this.#byScheme[scheme]!
  }

  /** Closes all connections that no request uses. */
  closeIdle(): void {
    for (const connection of this.#open) connection.closeIdle()
  }

  /** Ends all connections; requests in progress fail. */
  async close(): Promise<void> {
    await Promise.all([...new Set(Object.values(this.#byScheme))].map((dispatcher) => dispatcher.destroy()))
  }

  #pool(origin: string | URL, given: object): Pool {
    const { connections, connectMs, clock = systemClock } = this.#options
    const changed = (connection: Connection, isOpen: boolean): void => {
      if (isOpen) this.#open.add(connection)
      else this.#open.delete(connection)
      this.#changed(this.#open.size)
    }
    return new KeptPool(origin, {
      ...given,
      connections,
      keepAliveTimeout: idleMs,
      factory: (of, options) => new Connection(of, options, { connectMs, clock, changed }),
    })
  }
}
