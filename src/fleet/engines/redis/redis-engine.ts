import { randomBytes } from 'node:crypto'
import {
  fleetLeasesMax,
  publishedMs,
  repositoryOfLease,
  TooManyFleetLeases,
  UnknownRecord,
  type Claim,
  type ClaimAnswer,
  type Epoch,
  type FillOutcome,
  type FleetEngine,
  type FleetLease,
  type HeldClaim,
  type Hint,
  type NewFleetLease,
} from '../../engine.js'
import type { RedisTransport } from './connections/transport.js'
import { HeldFills } from './held-fills.js'
import { RedisHints } from './hints.js'
import { idleMs, RedisKeys } from './keys.js'
import {
  decodeClaim,
  decodeEpoch,
  decodeLease,
  decodeLeases,
  decodeNames,
  encodeEntry,
  encodeFailure,
  encodeLease,
  encodeState,
} from './records.js'
import { claimScript, publishScript, renewScript } from './scripts/claims.js'
import {
  changeScript,
  endLeaseScript,
  epochScript,
  listLeasesScript,
  openLeaseScript,
  renewLeaseScript,
} from './scripts/epochs.js'
import { addScript, beatScript, namesScript, removeScript } from './scripts/fleet.js'
import type { RedisScript } from './scripts/script.js'

type Argument = string | number

/** Repositories whose leases are listed in one go: the server runs other commands in between. */
const listBatch = 100

/** A record of another form concerns its own repository only. */
const unlessUnknown = (error: unknown): undefined => {
  if (!(error instanceof UnknownRecord)) throw error
  return undefined
}

/** A duration as Redis takes it. */
const milliseconds = (ms: number): number => Math.max(1, Math.round(ms))

/** An engine on Redis 6 or later, or Valkey: each operation on a repository is one script, see scripts/repository.ts. */
export class RedisEngine implements FleetEngine {
  readonly #transport: RedisTransport
  readonly #keys: RedisKeys
  readonly #hints: RedisHints
  readonly #held = new HeldFills()
  readonly #leasesMax: number

  /** @param leasesMax most mutator leases open at once */
  constructor(transport: RedisTransport, fleet: string, leasesMax = fleetLeasesMax) {
    this.#transport = transport
    this.#leasesMax = leasesMax
    this.#keys = new RedisKeys(fleet)
    this.#hints = new RedisHints(transport, this.#keys.hints)
  }

  async claim({ repository, key, state, node, ttlMs, rob = '' }: Claim): Promise<ClaimAnswer> {
    const args = [encodeState(state), node, milliseconds(ttlMs), rob, key]
    const answer = decodeClaim(await this.#onFill(claimScript, repository, key, args))
    if (answer.kind === 'granted') this.#held.add({ repository, key, node, token: answer.token, ttlMs })
    return answer
  }

  async renew(held: HeldClaim): Promise<boolean> {
    const { repository, key, node, token, ttlMs } = held
    const isHeld =
      (await this.#onFill(renewScript, repository, key, [token, node, milliseconds(ttlMs)])) === 1
    if (isHeld) this.#held.renewed(held)
    else this.#held.delete(held)
    return isHeld
  }

  async publish(held: HeldClaim, outcome: FillOutcome): Promise<boolean> {
    const { repository, key, token, node } = held
    const args = [token, node, key, outcome.kind, ...argumentsOf(outcome)]
    const isRecorded = (await this.#onFill(publishScript, repository, key, args)) === 1
    this.#held.delete(held)
    return isRecorded
  }

  async epochs(repositories: readonly string[]): Promise<Epoch[]> {
    // All commands of one turn of the event loop go out together: one round trip for each server.
    const answers = repositories.map((repository) => this.#on(epochScript, repository).catch(unlessUnknown))
    return (await Promise.all(answers)).map(decodeEpoch)
  }

  async change(repository: string): Promise<void> {
    await this.#on(changeScript, repository)
  }

  async openLease(lease: NewFleetLease, leftMs = lease.ttlMs): Promise<void> {
    const { id, repository } = lease
    const left = milliseconds(leftMs)
    // First into the list, which has the limit: what fails after that leaves a name there that expires.
    if ((await this.#list(addScript, id, left, this.#leasesMax)) !== 1)
      throw new TooManyFleetLeases(
        `${this.#leasesMax} mutator leases are open in the fleet, which is the largest permitted number`,
      )
    await this.#on(openLeaseScript, repository, [id, milliseconds(lease.ttlMs), encodeLease(lease), left])
  }

  async renewLease(id: string, ttlMs?: number): Promise<FleetLease | undefined> {
    const repository = repositoryOfLease(id)
    if (repository === undefined) return undefined
    const args = [id, ttlMs === undefined ? '' : milliseconds(ttlMs)]
    const lease = decodeLease(id, await this.#on(renewLeaseScript, repository, args))
    if (lease) await this.#tryList(addScript, id, lease.ttlMs, Infinity)
    return lease
  }

  async endLease(id: string, end: 'changed' | 'unchanged'): Promise<FleetLease | undefined> {
    const repository = repositoryOfLease(id)
    if (repository === undefined) return undefined
    const lease = decodeLease(id, await this.#on(endLeaseScript, repository, [id, end]))
    await this.#tryList(removeScript, id)
    return lease
  }

  async leases(): Promise<FleetLease[]> {
    const ids = decodeNames(await this.#list(namesScript, this.#leasesMax))
    const repositories = [...new Set(ids.map(repositoryOfLease).filter((each) => each !== undefined))]
    const found: FleetLease[] = []
    for (let at = 0; at < repositories.length && found.length < this.#leasesMax; at += listBatch) {
      const answers = repositories
        .slice(at, at + listBatch)
        .map((repository) => this.#on(listLeasesScript, repository, [this.#leasesMax]).catch(unlessUnknown))
      for (const answer of await Promise.all(answers)) found.push(...decodeLeases(answer))
    }
    return found.slice(0, this.#leasesMax)
  }

  async beat(node: string, ttlMs: number): Promise<string[]> {
    const args = [idleMs, node, milliseconds(ttlMs)]
    return decodeNames(await beatScript.run(this.#transport, [this.#keys.members], args))
  }

  async leave(node: string): Promise<void> {
    const gone = removeScript.run(this.#transport, [this.#keys.members], [idleMs, node])
    const ended = this.#held.of(node).map((held) => this.publish(held, { kind: 'nothing' }))
    await Promise.all([gone, ...ended])
  }

  watch(listener: (hint: Hint) => void): () => void {
    return this.#hints.watch(listener)
  }

  close(): Promise<void> {
    this.#hints.close()
    this.#transport.close()
    return Promise.resolve()
  }

  #on(script: RedisScript, repository: string, args: readonly Argument[] = []): Promise<unknown> {
    const keys = this.#keys.ofRepository(repository)
    return script.run(this.#transport, keys, [...this.#common(repository), ...args])
  }

  #onFill(script: RedisScript, repository: string, key: string, args: readonly Argument[]): Promise<unknown> {
    const keys = this.#keys.ofFill(repository, key)
    return script.run(this.#transport, keys, [...this.#common(repository), ...args])
  }

  #common(repository: string): Argument[] {
    return [randomBytes(12).toString('base64url'), idleMs, this.#keys.hints, repository]
  }

  #list(script: RedisScript, ...args: readonly Argument[]): Promise<unknown> {
    return script.run(this.#transport, [this.#keys.leases], [idleMs, ...args])
  }

  /** Updates the list after the lease itself: operators may see it too short or too long, and nothing else depends on it. */
  async #tryList(script: RedisScript, ...args: readonly Argument[]): Promise<void> {
    await this.#list(script, ...args).catch(() => {})
  }
}

/** Returns state, value and milliseconds, as the script takes them. */
function argumentsOf(outcome: FillOutcome): Argument[] {
  switch (outcome.kind) {
    case 'entry':
      return [encodeState(outcome.state), encodeEntry(outcome.entry), publishedMs]
    case 'failure': {
      const { failure, ttlMs } = outcome
      return [encodeState(failure.state), encodeFailure(failure), milliseconds(ttlMs)]
    }
    case 'nothing':
      return ['', '', '']
  }
}
