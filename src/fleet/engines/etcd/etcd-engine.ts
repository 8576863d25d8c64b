import { systemClock, type Clock } from '../../../limits/clock.js'
import type {
  Claim,
  ClaimAnswer,
  Epoch,
  FillOutcome,
  FleetEngine,
  FleetLease,
  HeldClaim,
  Hint,
  NewFleetLease,
} from '../../engine.js'
import { Epochs } from './epochs.js'
import { EtcdClient, type EtcdClientOptions } from './client/etcd-client.js'
import { EtcdLeases } from './client/etcd-leases.js'
import type { EtcdStore } from './etcd-store.js'
import { EtcdWatch, type WatchEvent } from './client/etcd-watch.js'
import { FillLeases } from './fill-leases.js'
import { EtcdKeys } from './keys.js'
import { Members } from './members.js'
import { OpenLeases } from './open-leases.js'
import { fillLeaseOf } from './records.js'
import { Revisions } from './client/revisions.js'
import { Sightings } from './sightings.js'

export interface EtcdEngineOptions extends EtcdClientOptions {
  /** The names of all keys begin with it and a slash. */
  readonly fleet: string
  readonly clock?: Clock | undefined
  /** Most mutator leases open at once. */
  readonly leasesMax?: number | undefined
}

/**
 * The engine of a fleet in etcd 3.4 or later. Connects by itself, also later if etcd is away; until then, all operations reject.
 * The only thing that it tells etcd's clock is how long its leases last.
 */
export class EtcdEngine implements FleetEngine {
  readonly #store: EtcdStore
  readonly #fills: FillLeases
  readonly #epochs: Epochs
  readonly #open: OpenLeases
  readonly #members: Members
  readonly #watch: EtcdWatch
  readonly #listeners = new Set<(hint: Hint) => void>()

  constructor(options: EtcdEngineOptions) {
    const { fleet, clock = systemClock, leasesMax } = options
    const client = new EtcdClient(options)
    const leases = new EtcdLeases(client, clock)
    const revisions = new Revisions()
    this.#store = {
      ...{ client, keys: new EtcdKeys(fleet), leases, clock, revisions },
      sightings: new Sightings(clock),
    }
    this.#fills = new FillLeases(this.#store)
    this.#epochs = new Epochs(this.#store)
    this.#open = new OpenLeases(this.#store, this.#epochs, leasesMax)
    this.#members = new Members(this.#store)
    this.#watch = new EtcdWatch(client, clock, this.#store.keys.all, {
      seen: (header) => revisions.note(header),
      changed: (event) => this.#changed(event),
      isBehind: () => void this.#epochs.check().catch(() => undefined),
    })
  }

  claim(claim: Claim): Promise<ClaimAnswer> {
    return this.#fills.claim(claim)
  }

  renew(held: HeldClaim): Promise<boolean> {
    return this.#fills.renew(held)
  }

  publish(held: HeldClaim, outcome: FillOutcome): Promise<boolean> {
    return this.#fills.publish(held, outcome)
  }

  epochs(repositories: readonly string[]): Promise<Epoch[]> {
    return this.#epochs.of(repositories)
  }

  change(repository: string): Promise<void> {
    return this.#epochs.change(repository)
  }

  openLease(lease: NewFleetLease, leftMs?: number): Promise<void> {
    return this.#open.open(lease, leftMs)
  }

  renewLease(id: string, ttlMs?: number): Promise<FleetLease | undefined> {
    return this.#open.renew(id, ttlMs)
  }

  endLease(id: string, end: 'changed' | 'unchanged'): Promise<FleetLease | undefined> {
    return this.#open.end(id, end)
  }

  leases(): Promise<FleetLease[]> {
    return this.#open.list()
  }

  beat(node: string, ttlMs: number): Promise<string[]> {
    return this.#members.beat(node, ttlMs)
  }

  leave(node: string): Promise<void> {
    return this.#members.leave(node)
  }

  watch(listener: (hint: Hint) => void): () => void {
    // The same function may be added twice.
    const own = (hint: Hint): void => listener(hint)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    this.#watch.close()
    this.#open.close()
    await this.#store.client.close()
  }

  #changed({ type, kv }: WatchEvent): void {
    const { keys, sightings } = this.#store
    if (type === 'DELETE') sightings.forget(kv.key)
    else if (keys.hasTimeLimit(kv.key)) sightings.see(kv.key, kv.modRevision)
    const hint = keys.hintOf(kv.key)
    if (!hint || (type === 'PUT' && isRenewal(hint, kv))) return
    for (const listener of this.#listeners) listener(hint)
  }
}

/** Was a lease written that was there already? Nobody waits for that. */
const isRenewal = (hint: Hint, kv: WatchEvent['kv']): boolean =>
  hint.kind === 'key' ? fillLeaseOf(kv)?.granted !== undefined : kv.version !== '1' && kv.lease !== '0'
