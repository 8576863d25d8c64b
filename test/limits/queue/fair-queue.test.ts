import t from 'tap'
import { FairQueue, type Waiter } from '../../../src/limits/queue/fair-queue.js'

function create(perGroup: number, queueMax: number, groups: string, admitted = false) {
  const queue = new FairQueue<Waiter>(perGroup, queueMax)
  const waiters = groups.split('').map((group) => ({ group, admitted }))
  const places = waiters.map((waiter) => queue.enqueue(waiter, 0))
  const served = (): string => {
    let groups = ''
    for (let next = queue.dequeue(0); next; next = queue.dequeue(0)) groups += next.group
    return groups
  }
  return { queue, places, served }
}

t.test('groups are served round robin, each in the order of arrival', async (t) => {
  const { queue, places, served } = create(Infinity, 100, 'aaabbc')
  const [first] = places
  t.equal(queue.dequeue(0), first?.value)
  t.equal(served(), 'bcaba')
  t.same([queue.running, queue.waiting, queue.hasEligible], [6, 0, false])
})

t.test('a group at its limit is passed over until one of its requests ends', async (t) => {
  const { queue, served } = create(1, 100, 'aabb')
  t.equal(served(), 'ab')
  t.same([queue.waiting, queue.hasEligible, queue.isBelowLimit('a')], [2, false, false])
  queue.finish('b')
  t.ok(queue.hasEligible)
  t.equal(served(), 'b')
  queue.finish('a')
  t.equal(served(), 'a')
})

t.test('requests that start without a wait count against the limit of their group', async (t) => {
  const { queue, served } = create(2, 100, '')
  queue.start('a')
  queue.start('a')
  t.notOk(queue.isBelowLimit('a'))
  queue.enqueue({ group: 'a', admitted: false }, 0)
  t.equal(served(), '')
  queue.finish('a')
  t.equal(served(), 'a')
})

t.test('a group may take a place only if more are left than it has', async (t) => {
  const { queue } = create(1, 8, 'aaaa')
  const hasPlace = (group: string): boolean => queue.hasPlace({ group, admitted: false })
  t.same([hasPlace('a'), hasPlace('b')], [false, true])
  for (const group of 'bbc') queue.enqueue({ group, admitted: false }, 0)
  t.same(
    [hasPlace('b'), hasPlace('c'), hasPlace('d')],
    [false, false, true],
    'the last place is for a new group',
  )
  queue.enqueue({ group: 'd', admitted: false }, 0)
  t.notOk(hasPlace('e'))
})

t.test('admitted waiters have four times as many places, apart from the others', async (t) => {
  const { queue } = create(1, 1, 'a')
  t.notOk(queue.hasPlace({ group: 'b', admitted: false }))
  let places = 0
  for (; queue.hasPlace({ group: String(places), admitted: true }); places++)
    queue.enqueue({ group: String(places), admitted: true }, 0)
  t.equal(places, 4)
})

t.test('a waiter that is removed frees its place and is not served', async (t) => {
  const { queue, places, served } = create(Infinity, 2, 'ab')
  queue.remove(places[0]!)
  t.ok(queue.hasPlace({ group: 'c', admitted: false }))
  t.equal(served(), 'b')
})
