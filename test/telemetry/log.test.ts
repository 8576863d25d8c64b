import t from 'tap'
import { atMostEvery } from '../../src/telemetry/log.js'

t.test('a rate-limited call', async (t) => {
  let now = 0
  const clock = (): number => now
  const made: string[] = []
  const call = atMostEvery(1000, (what: string) => made.push(what), clock)
  for (const at of [0, 0, 999, 1000, 1500, 1999.5, 5000, 5999, 6000]) {
    now = at
    call(`${at}`)
  }
  t.same(made, ['0', '1000', '5000', '6000'], 'calls that do nothing do not extend the pause')
  const others: string[] = []
  const callOther = atMostEvery(1000, (what: string) => others.push(what), clock)
  callOther('x')
  call('y')
  t.same([others, made.length], [['x'], 4], 'each call has a pause of its own')
})
