import type { ClaimAnswer, FleetEngine, FillOutcome } from '../../../src/fleet/engine.js'
import { TableEngine } from '../../../src/fleet/engines/table/table-engine.js'
import { FakeClock } from '../../support/fake-clock.js'
import type { Answer, Operation } from './engine-rules.js'
import { stepsFrom } from './explorer.js'
import { initial, type Scene, type Token } from './state.js'

const ttlMs = 10_000

/**
 * Takes a random way through the model, and does the engine's operations on a real TableEngine as well.
 * @param choose returns a number that is at least 0, and less than the given one
 * @returns the operations that were compared
 * @throws if an answer is another one
 */
export async function replay(scene: Scene, choose: (below: number) => number): Promise<number> {
  const table = new Table()
  let count = 0
  let state = initial(scene)
  for (;;) {
    const operations = new Map<string, Operation[]>()
    const steps = stepsFrom(state, scene, (step, operation) => {
      operations.set(step, [...(operations.get(step) ?? []), operation])
    })
    if (steps.length === 0) return count
    const step = steps[choose(steps.length)]!
    for (const operation of operations.get(step.name) ?? []) {
      await table.play(operation)
      count++
    }
    state = step.state
  }
}

/** A TableEngine with the tokens of the model's grants. */
class Table {
  readonly #clock = new FakeClock()
  #engine: FleetEngine = new TableEngine({ clock: this.#clock })
  readonly #tokens = new Map<number, string>()

  async play(operation: Operation): Promise<void> {
    switch (operation.kind) {
      case 'claim': {
        const { node, state, rob, answer } = operation
        const claim = { ...place, node: `n${node}`, state: `s${state}`, ttlMs }
        const found = await this.#engine.claim(rob ? { ...claim, rob: this.#token(rob) } : claim)
        return this.#compare(operation, found, answer)
      }
      case 'renew': {
        const { node, token, answer } = operation
        return expect(operation, await this.#engine.renew(this.#held(node, token)), answer)
      }
      case 'publish': {
        const { node, token, state, answer } = operation
        const outcome: FillOutcome =
          state === undefined
            ? { kind: 'nothing' }
            : { kind: 'entry', state: `s${state}`, entry: { length: 1 } }
        return expect(operation, await this.#engine.publish(this.#held(node, token), outcome), answer)
      }
      case 'age':
        return this.#clock.advance(ttlMs - 1)
      case 'expire':
        return this.#clock.advance(1)
      case 'flush':
        this.#engine = new TableEngine({ clock: this.#clock })
    }
  }

  #compare(operation: Operation, found: ClaimAnswer, answer: Answer): void {
    expect(operation, found.kind, answer.kind)
    if (found.kind === 'failed') return
    if (found.kind === 'granted') {
      if ([...this.#tokens.values()].includes(found.token)) throw new Error('a token repeats')
      this.#tokens.set(answer.token.grant, found.token)
    } else if (answer.kind !== 'granted') expect(operation, found.node, `n${answer.node}`)
    expect(operation, found.token, this.#token(answer.token))
  }

  #held(node: number, token: Token) {
    return { ...place, node: `n${node}`, token: this.#token(token), ttlMs }
  }

  #token({ grant }: Token): string {
    return this.#tokens.get(grant)!
  }
}

const place = { repository: 'r', key: 'k' }

function expect(operation: Operation, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${JSON.stringify(operation)}: ${found} instead of ${expected}`)
}
