import fc from 'fast-check'
import type { Test } from 'tap'
import type { Claim, FleetEngine, FillOutcome, HeldClaim } from '../../src/fleet/engine.js'
import { TableEngine } from '../../src/fleet/engines/table/table-engine.js'
import { FakeClock } from '../support/fake-clock.js'
import { leaseId, name, plain } from './engine-names.js'

/** One operation of a history. Small numbers choose from what the history has: names, grants, mutator leases. */
interface Operation {
  readonly kind: 'claim' | 'rob' | 'renew' | 'publish' | 'change' | 'open' | 'renewLease' | 'end' | 'epochs'
  readonly client: number
  readonly key: number
  readonly node: number
  readonly state: number
  /** A grant or a mutator lease, counted from the last one back. */
  readonly back: number
  readonly outcome: number
}

const operations = fc.array(
  fc.record<Operation>({
    kind: fc.constantFrom<Operation['kind']>(
      ...(['claim', 'claim', 'claim', 'rob', 'renew', 'publish', 'publish'] as const),
      ...(['change', 'open', 'renewLease', 'end', 'epochs'] as const),
    ),
    client: fc.nat(7),
    key: fc.nat(3),
    node: fc.nat(2),
    state: fc.nat(2),
    back: fc.nat(3),
    outcome: fc.nat(5),
  }),
  { minLength: 40, maxLength: 40 },
)

const ttlMs = 60_000

/** Runs random histories on clients of one store and on TableEngine, without time limits; answers must be the same. */
export async function compareWithTable(
  t: Test,
  engines: readonly FleetEngine[],
  histories: number,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(operations, async (history) => {
      const table = new TableEngine({ clock: new FakeClock() })
      const names = new Names()
      const [expected, found] = [new Player([table], names), new Player(engines, names)]
      try {
        for (const operation of history) {
          const line = `${JSON.stringify(operation)}: `
          const [right, answer] = [await expected.play(operation), await found.play(operation)]
          if (line + right !== line + answer) throw new Error(`${line}${answer} instead of ${right}`)
        }
      } finally {
        await found.endLeases()
        await table.close()
      }
    }),
    { numRuns: histories, interruptAfterTimeLimit: 60_000 },
  )
  t.pass('the answers are the same')
}

/** The names of one history, the same for both players. */
class Names {
  readonly repositories = [name(), name()]
  readonly keys = [name(), name()]
  readonly nodes = [name(), name(), name()]
  readonly states = [name(), name(), undefined]
  readonly leases: string[] = []

  /** Returns the id of the history's nth mutator lease. */
  lease(nth: number): string {
    return (this.leases[nth] ??= leaseId(this.repositories[nth % 2]!))
  }
}

class Player {
  readonly #engines: readonly FleetEngine[]
  readonly #names: Names
  readonly #grants: HeldClaim[] = []
  #leases = 0
  #epochs: { openings: number; changes: number }[] | undefined

  constructor(engines: readonly FleetEngine[], names: Names) {
    this.#engines = engines
    this.#names = names
  }

  /** Returns the answer in words that do not depend on the engine. */
  async play(operation: Operation): Promise<string> {
    this.#epochs ??= await this.#engines[0]!.epochs(this.#names.repositories)
    return JSON.stringify(await this.#play(operation))
  }

  async endLeases(): Promise<void> {
    for (let nth = 0; nth < this.#leases; nth++) {
      await this.#engines[0]!.endLease(this.#names.lease(nth), 'unchanged')
    }
  }

  async #play({ kind, client, key, node, state, back, outcome }: Operation): Promise<unknown> {
    const engine = this.#engines[client % this.#engines.length]!
    const { repositories, keys, nodes, states } = this.#names
    const grant = this.#grants.at(-1 - back)
    const lease = this.#names.lease(Math.max(0, this.#leases - 1 - back))
    switch (kind) {
      case 'claim':
      case 'rob': {
        const place = { repository: repositories[key >> 1]!, key: keys[key & 1]!, node: nodes[node]!, ttlMs }
        const rob = kind === 'rob' && grant ? { rob: grant.token } : {}
        return this.#claim(engine, { ...place, state: states[state], ...rob })
      }
      case 'renew':
        return grant && (await engine.renew(grant))
      case 'publish':
        return grant && (await engine.publish(grant, this.#outcome(outcome, state)))
      case 'change':
        await engine.change(repositories[key >> 1]!)
        return undefined
      case 'open': {
        const id = this.#names.lease(this.#leases++)
        const repository = id.slice(0, id.indexOf('.'))
        await engine.openLease({ id, repository, name: 'r', reason: undefined, openedAtMs: 5, ttlMs })
        return undefined
      }
      case 'renewLease':
        return this.#without(await engine.renewLease(lease, back > 1 ? 2 * ttlMs : undefined))
      case 'end':
        return this.#without(await engine.endLease(lease, back > 1 ? 'unchanged' : 'changed'))
      case 'epochs':
        return (await engine.epochs(repositories)).map(({ open, openings, changes }, index) => {
          const before = this.#epochs![index]!
          return [open, openings - before.openings, changes - before.changes]
        })
    }
  }

  async #claim(engine: FleetEngine, claim: Claim): Promise<unknown> {
    const answer = await engine.claim(claim)
    if (answer.kind === 'failed') return { kind: answer.kind, failure: plain(answer.failure) }
    if (answer.kind === 'granted') {
      const { repository, key, node } = claim
      this.#grants.push({ repository, key, node, ttlMs, token: answer.token })
    }
    const grant = this.#grants.findIndex(({ token }) => token === answer.token)
    if (answer.kind === 'granted') return { kind: answer.kind, grant }
    const { kind, node } = answer
    return { kind, node, grant, entry: answer.kind === 'published' ? sorted(answer.entry) : undefined }
  }

  #outcome(outcome: number, state: number): FillOutcome {
    const [named] = this.#names.states
    if (outcome === 0) return { kind: 'nothing' }
    if (outcome === 1) {
      const failure = { state: this.#names.states[state], attempt: 1, code: 'c', message: 'm' }
      return { kind: 'failure', failure: sorted(failure), ttlMs }
    }
    const entry = { length: outcome, sha256: 'ab'.repeat(32), path: '/a' }
    return { kind: 'entry', state: this.#names.states[state] ?? named!, entry }
  }

  #without(lease: object | undefined): unknown {
    return lease && sorted({ ...lease, leftMs: undefined })
  }
}

/** The order of properties does not matter. */
const sorted = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) as T
