import t from 'tap'
import fc from 'fast-check'
import { PasswordQueue, type PasswordClient } from '../../../src/access/passwords/password-queue.js'

const fill = (queue: PasswordQueue<PasswordClient>, address: string, user: string, count: number): number => {
  let taken = 0
  for (; taken < count && queue.hasPlace({ address, user }); taken++) queue.join({ address, user })
  return taken
}

t.test('round robin among addresses, and among the users at each', async (t) => {
  const queue = new PasswordQueue<PasswordClient>(100)
  fill(queue, 'nat', 'alice', 20)
  fill(queue, 'nat', 'bob', 1)
  fill(queue, 'other', 'carol', 2)
  const turns = Array.from({ length: 6 }, () => queue.next()?.user)
  t.same(turns, ['alice', 'carol', 'bob', 'carol', 'alice', 'alice'])
  t.equal(queue.size, 17)
  while (queue.next()) continue
  t.equal(queue.size, 0)
})

t.test('a flood leaves places to other users at its address, and to other addresses', async (t) => {
  const queue = new PasswordQueue<PasswordClient>(256)
  t.equal(fill(queue, 'nat', 'alice', 1000), 86)
  t.ok(fill(queue, 'nat', 'bob', 1000) >= 20)
  for (let name = 0; name < 1000; name++) fill(queue, 'nat', `name ${name}`, 1000)
  t.ok(fill(queue, 'other', 'carol', 1000) >= 10, `${queue.size}`)
})

t.test('no user at an address has two turns in a row while others wait', async () => {
  const client = fc.record({ address: fc.constantFrom('a', 'b', 'c'), user: fc.constantFrom('x', 'y', 'z') })
  fc.assert(
    fc.property(fc.array(client, { maxLength: 60 }), (clients) => {
      const queue = new PasswordQueue<PasswordClient>(1000)
      for (const each of clients) queue.join(each)
      const turns = clients.map(() => queue.next()!)
      const left = [...clients]
      let last: PasswordClient | undefined
      for (const turn of turns) {
        const others = left.some(({ address }) => address !== turn.address)
        const same = left.some(({ address, user }) => address === turn.address && user !== turn.user)
        if (last && others && last.address === turn.address) return false
        if (last && same && last.address === turn.address && last.user === turn.user) return false
        const at = left.findIndex(({ address, user }) => address === turn.address && user === turn.user)
        if (at < 0) return false
        left.splice(at, 1)
        last = turn
      }
      return left.length === 0 && queue.next() === undefined
    }),
  )
})
