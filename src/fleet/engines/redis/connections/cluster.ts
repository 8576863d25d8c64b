import { systemClock } from '../../../../limits/clock.js'
import type { RedisConnection, ServerAddress } from './connection.js'
import { RedisLink, RedisUnreachable } from './link.js'
import { slotOf, slotsCount } from './slots.js'
import type { RedisTransport, TransportOptions } from './transport.js'

/** Most times that a command is sent on to the node that another one has named. */
const redirectionsMax = 3
/** Milliseconds between questions who has which slots, while a master is missing. */
const refreshMs = 500

const nameOf = ({ host, port }: ServerAddress): string => `${host}:${port}`

/** The nodes of a cluster: each command goes to the master that has its key's slot. */
export class ClusterTransport implements RedisTransport {
  readonly #options: TransportOptions
  readonly #links = new Map<string, RedisLink>()
  readonly #addresses = new Map<string, ServerAddress>()
  /** Names of the masters. */
  #slots = new Array<string | undefined>(slotsCount).fill(undefined)
  #refreshing: Promise<void> | undefined
  #stop: (() => void) | undefined
  #isClosed = false
  #isUp: boolean | undefined

  constructor(options: TransportOptions) {
    this.#options = options
    for (const host of options.hosts) this.#linkTo(host)
    this.#refreshLater(0)
  }

  async send(key: string, command: readonly string[]): Promise<unknown> {
    const slot = slotOf(key)
    let name = this.#slots[slot]
    let commands = [command]
    for (let redirections = 0; ; redirections++) {
      const link = name === undefined ? undefined : this.#links.get(name)
      if (!link) {
        this.#refreshLater(0)
        throw new RedisUnreachable('no node of the cluster is known to have this key')
      }
      try {
        return await link.send(...commands)
      } catch (error) {
        const [, kind, to] = /^(MOVED|ASK) \d+ (\S+)$/.exec((error as Error).message) ?? []
        if (!link.isConnected || kind === 'MOVED') this.#refreshLater(kind ? 0 : refreshMs)
        if (kind === undefined || to === undefined || redirections >= redirectionsMax) throw error
        const address = addressOf(to, this.#addresses.get(name!)!)
        name = nameOf(address)
        await this.#linkTo(address).attempted
        if (kind === 'MOVED') this.#slots[slot] = name
        commands = kind === 'ASK' ? [['ASKING'], command] : [command]
      }
    }
  }

  async connect(): Promise<RedisConnection> {
    const { connect, connection } = this.#options
    const connected = [...this.#links].filter(([, link]) => link.isConnected)
    const [name] = connected[Math.floor(Math.random() * connected.length)] ?? []
    if (name === undefined) throw new RedisUnreachable('no node of the cluster can be reached')
    return connect(this.#addresses.get(name)!, connection)
  }

  close(): void {
    this.#isClosed = true
    this.#stop?.()
    for (const link of this.#links.values()) link.close()
  }

  #linkTo(address: ServerAddress): RedisLink {
    const name = nameOf(address)
    const known = this.#links.get(name)
    if (known) return known
    const { connect, connection } = this.#options
    const link = new RedisLink({
      connect: () => connect(address, connection),
      changed: (error) => {
        if (error) this.#report(error)
        this.#refreshLater(error ? refreshMs : 0)
      },
    })
    this.#links.set(name, link)
    this.#addresses.set(name, address)
    return link
  }

  #refreshLater(ms: number): void {
    if (this.#isClosed || this.#refreshing) return
    this.#stop?.()
    this.#stop = systemClock.after(ms, () => {
      this.#refreshing = this.#refresh().finally(() => {
        this.#refreshing = undefined
        // A replica is promoted some seconds after its master has gone.
        if (!this.#isWhole()) this.#refreshLater(refreshMs)
      })
    })
  }

  #isWhole(): boolean {
    return [...new Set(this.#slots)].every((name) => name !== undefined && this.#links.get(name)?.isConnected)
  }

  async #refresh(): Promise<void> {
    const errors: unknown[] = []
    for (const [name, link] of this.#links) {
      if (!link.isConnected) continue
      try {
        const ranges = rangesOf(await link.send(['CLUSTER', 'SLOTS']), this.#addresses.get(name)!)
        if (ranges.length === 0) continue
        await this.#adopt(ranges)
        if (this.#isWhole()) this.#report(undefined)
        return
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) this.#report(errors[0] as Error)
  }

  async #adopt(ranges: readonly Range[]): Promise<void> {
    const slots = new Array<string | undefined>(slotsCount).fill(undefined)
    for (const { from, to, master } of ranges) slots.fill(nameOf(master), from, to + 1)
    this.#slots = slots
    const masters = new Map(ranges.map(({ master }) => [nameOf(master), master]))
    const roots = new Set(this.#options.hosts.map(nameOf))
    for (const [name, link] of this.#links) {
      if (masters.has(name) || roots.has(name)) continue
      link.close()
      this.#links.delete(name)
      this.#addresses.delete(name)
    }
    if (!this.#isClosed) await Promise.all([...masters.values()].map((each) => this.#linkTo(each).attempted))
  }

  #report(error: Error | undefined): void {
    const isUp = error === undefined
    if (this.#isClosed || isUp === this.#isUp) return
    this.#isUp = isUp
    this.#options.changed?.(error)
  }
}

interface Range {
  readonly from: number
  readonly to: number
  readonly master: ServerAddress
}

/** Reads an answer to CLUSTER SLOTS, in which a node that does not know its own address leaves it out. */
function rangesOf(answer: unknown, asked: ServerAddress): Range[] {
  if (!Array.isArray(answer)) return []
  return (answer as unknown[][]).flatMap(([from, to, master]) => {
    const [host, port] = Array.isArray(master) ? (master as unknown[]) : []
    const isRange = Number.isInteger(from) && Number.isInteger(to) && Number.isInteger(port)
    if (!isRange || Number(from) < 0 || Number(to) >= slotsCount) return []
    const known = typeof host === 'string' && host !== '' && host !== '?' ? host : asked.host
    return [{ from: Number(from), to: Number(to), master: { host: known, port: Number(port) } }]
  })
}

/** Reads the address in a redirection, whose host is empty if it is that of the node that was asked. */
function addressOf(written: string, asked: ServerAddress): ServerAddress {
  const colon = written.lastIndexOf(':')
  const host = written.slice(0, colon)
  return { host: host === '' || host === '?' ? asked.host : host, port: Number(written.slice(colon + 1)) }
}
