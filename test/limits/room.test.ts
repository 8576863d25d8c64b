import t from 'tap'
import { Room } from '../../src/limits/room.js'

t.test('so many and no more; each leaves once', (t) => {
  const room = new Room(2)
  const leave = room.enter()
  room.enter()
  t.notOk(room.enter())
  t.equal(room.inside, 2)
  leave?.()
  leave?.()
  t.equal(room.inside, 1)
  t.ok(room.enter())
  t.notOk(room.enter())
  t.end()
})
