import t from 'tap'
import { NamedChanges } from '../../../src/freshness/leases/named-changes.js'

t.test('the names of changes after a count', async (t) => {
  const changes = new NamedChanges()
  t.same(changes.since('/a', 0, 0), [], 'nothing has changed')
  t.equal(changes.since('/a', 0, 1), undefined, 'not told')
  changes.add('/a', 1, ['refs/heads/one'])
  changes.add('/a', 2, ['refs/heads/two', 'refs/heads/one'])
  changes.add('/b', 1, undefined)
  t.same(changes.since('/a', 0, 2), ['refs/heads/one', 'refs/heads/two'])
  t.same(changes.since('/a', 1, 2), ['refs/heads/two', 'refs/heads/one'])
  t.same(changes.since('/a', 2, 2), [])
  t.equal(changes.since('/a', 0, 3), undefined, 'there was another change')
  t.equal(changes.since('/a', 3, 2), undefined)
  t.equal(changes.since('/b', 0, 1), undefined)
})

t.test('a change that names nothing ends what is known', async (t) => {
  const changes = new NamedChanges()
  changes.add('/a', 1, ['refs/heads/one'])
  changes.add('/a', 2, undefined)
  changes.add('/a', 3, ['refs/heads/three'])
  t.equal(changes.since('/a', 0, 3), undefined)
  t.equal(changes.since('/a', 1, 3), undefined)
  t.same(changes.since('/a', 2, 3), ['refs/heads/three'])
  changes.add('/a', 5, ['refs/heads/five'])
  t.equal(changes.since('/a', 2, 5), undefined, 'a change was counted elsewhere')
  t.same(changes.since('/a', 4, 5), ['refs/heads/five'])
})

t.test('bounds', async (t) => {
  const changes = new NamedChanges()
  const many = (prefix: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `refs/${prefix}/${index}`)
  changes.add('/a', 1, many('a', 600))
  changes.add('/a', 2, many('b', 600))
  t.equal(changes.since('/a', 0, 2), undefined, 'the first is forgotten')
  t.same(changes.since('/a', 1, 2), many('b', 600))
  changes.add('/a', 3, many('c', 1001))
  t.equal(changes.since('/a', 2, 3), undefined)
  for (let count = 4; count <= 1100; count++) changes.add('/a', count, [])
  t.same(changes.since('/a', 100, 1100), [])
  t.equal(changes.since('/a', 99, 1100), undefined)

  // 1000 names of 4096 bytes each.
  const long = many('x'.repeat(4096), 1000)
  for (const repository of ['/b', '/c', '/d', '/e', '/f']) changes.add(repository, 1, long)
  t.equal(changes.since('/b', 0, 1), undefined, 'memory is limited over all repositories')
  t.same(changes.since('/f', 0, 1), long)
})
