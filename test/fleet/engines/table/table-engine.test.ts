import t from 'tap'
import type { FleetEngine } from '../../../../src/fleet/engine.js'
import { TableEngine } from '../../../../src/fleet/engines/table/table-engine.js'
import { FakeClock } from '../../../support/fake-clock.js'
import { engineContract } from '../../engine-contract.js'

const clock = new FakeClock()
const elapse = async (ms: number): Promise<void> => clock.advance(ms)

/** Two clients of a table which is lost and made anew by `flush`. */
const openTable = async () => {
  const make = (): TableEngine => new TableEngine({ clock, leasesMax: 20 })
  let table = make()
  const client = (): FleetEngine =>
    new Proxy(table, {
      get: (_, method: keyof FleetEngine) => (table[method] as (...args: unknown[]) => unknown).bind(table),
    })
  const flush = async (): Promise<void> => {
    await table.close()
    table = make()
  }
  return { engines: [client(), client()], flush, close: () => table.close() }
}

t.test('the contract of engines', (t) =>
  engineContract(t, openTable, { elapse, shortMs: 1000, lateMs: 0, leasesMax: 20, histories: 200 }),
)
