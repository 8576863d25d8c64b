import t from 'tap'
import { slotOf } from '../../../../../src/fleet/engines/redis/connections/slots.js'

t.test('slots are those of CLUSTER KEYSLOT', async (t) => {
  // Answers of redis-server 7.0.
  t.equal(slotOf('123456789'), 0x31c3)
  t.equal(slotOf('foo'), 12_182)
  t.equal(slotOf('a{foo}b'), 12_182)
  t.equal(slotOf('{foo}{bar}'), 12_182)
  t.equal(slotOf('{fleet:}:members'), slotOf('fleet:'))
})

t.test('braces with nothing between them do not count', async (t) => {
  t.not(slotOf('a{}{foo}'), 12_182)
  t.not(slotOf('{foo'), 12_182)
  t.not(slotOf('}foo{'), 12_182)
})
