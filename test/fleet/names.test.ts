import t from 'tap'
import { FleetNames } from '../../src/fleet/names.js'

t.test('names are digests, the same on all nodes of a fleet and different between fleets', (t) => {
  const names = new FleetNames('a')
  const key = { repository: 'team/project.git', key: 'advertisement v2 team/project.git' }
  const { repository, key: digest } = names.of(key)
  t.match(repository, /^[\w-]{43}$/)
  t.match(digest, /^[\w-]{43}$/)
  t.equal(names.repository(key.repository), repository)
  t.same(new FleetNames('a').of(key), { repository, key: digest })
  t.not(new FleetNames('b').of(key).repository, repository)
  t.not(new FleetNames('b').of(key).key, digest)
  t.end()
})

t.test('a repository and a key of the same name have different digests', (t) => {
  const { repository, key } = new FleetNames('a').of({ repository: 'x', key: 'x' })
  t.not(repository, key)
  t.end()
})
