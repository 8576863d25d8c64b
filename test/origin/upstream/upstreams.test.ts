import t from 'tap'
import { viewOf } from '../../../src/origin/upstream/credentials/view.js'
import { addressOf, type Upstream } from '../../../src/origin/upstream/upstream.js'
import { Upstreams } from '../../../src/origin/upstream/upstreams.js'

const upstreamOf = (url: string, changes: Partial<Upstream> = {}): Upstream => ({
  name: new URL(url).host,
  url,
  client: { request: () => Promise.reject(new Error('not asked')) },
  service: undefined,
  followsRenames: true,
  isShared: false,
  ...changes,
})

const service = { get: async () => undefined, rejected: () => {}, accepted: () => {} }

const open = (...upstreams: readonly (readonly [RegExp, Upstream])[]): Upstreams =>
  new Upstreams({
    rules: upstreams.map(([pattern, upstream]) => ({ matches: (path) => pattern.test(path), upstream })),
    maxAgeMsOf: (path) => (path.startsWith('old/') ? 1000 : 0),
    viewOf,
  })

const alice = { authorization: 'Basic YTox' }
const bob = { authorization: 'Basic Yjox' }

t.test('the first rule that matches has a repository', async (t) => {
  const upstreams = open(
    [/^a\//, upstreamOf('https://a.example')],
    [/^/, upstreamOf('https://b.example/git')],
  )
  t.equal(addressOf(upstreams.find({ path: 'a/r.git' })), 'https://a.example/a/r.git')
  t.equal(addressOf(upstreams.find({ path: 'b/my repo' })), 'https://b.example/git/b/my%20repo')
  t.equal(addressOf(upstreams.find({ path: '' })), 'https://b.example/git')
  t.equal(upstreams.find({ path: 'old/r' }).maxAgeMs, 1000)
  t.equal(upstreams.find({ path: 'r' }).maxAgeMs, 0)
})

t.test('without a rule there is no such repository', async (t) => {
  const upstreams = open([/^a\//, upstreamOf('https://a.example')])
  t.equal(upstreams.has('b/r'), false)
  t.equal(upstreams.has('a/r'), true)
  t.throws(() => upstreams.find({ path: 'b/r' }), { name: 'RepositoryNotFound' })
  t.equal(upstreams.subjects.find('b/r'), undefined)
})

t.test('clients with other credentials have another view', async (t) => {
  const upstreams = open([/^/, upstreamOf('https://a.example')])
  const [first, second] = [alice, bob].map((credentials) => upstreams.find({ path: 'r', credentials }))
  t.not(first!.view, second!.view)
  t.not(first!.client, second!.client)
  t.equal(first!.view, first!.client)
  t.equal(upstreams.find({ path: 'r', credentials: alice }).view, first!.view)
  t.equal(upstreams.find({ path: 'r' }).view, upstreams.find({ path: 'r', credentials: {} }).view)
  t.same(first!.credentials, alice, 'they are sent on')
  t.notOk(JSON.stringify([first!.view, first!.subject]).includes('YTox'), 'and not told')
})

t.test('in a shared view all see the same, and each needs a verdict of its own', async (t) => {
  const upstreams = open([/^/, upstreamOf('https://a.example', { isShared: true })])
  const [first, second] = [alice, bob].map((credentials) => upstreams.find({ path: 'r', credentials }))
  t.equal(first!.view, second!.view)
  t.not(first!.client, second!.client)
})

t.test('where refstream has a credential of its own, none of clients are sent', async (t) => {
  const upstreams = open([/^/, upstreamOf('https://a.example', { service })])
  const [first, second] = [alice, bob].map((credentials) => upstreams.find({ path: 'r', credentials }))
  t.same(first!.credentials, {})
  t.equal(first!.view, second!.view)
  t.equal(first!.client, second!.client)
})

t.test('a subject is found by the path in URLs, and shown as such', async (t) => {
  const upstreams = open(
    [/^a\//, upstreamOf('https://h.example')],
    [/^/, upstreamOf('https://h.example/base')],
  )
  const { subjects } = upstreams
  t.equal(subjects.find('a/R.git'), 'https://h.example/a/r')
  t.equal(subjects.find('a/R.git'), upstreams.find({ path: 'a/r' }).subject)
  t.equal(subjects.nameOf('https://h.example/a/r'), 'a/r')
  t.equal(subjects.find('b/r'), 'https://h.example/base/b/r')
  t.equal(subjects.nameOf('https://h.example/base/b/r'), 'b/r', 'one URL is the beginning of the other')
  for (const name of ['../r', '/r', 'a//r', 'a/./r']) t.equal(subjects.find(name), undefined, name)
  t.equal(subjects.find(''), 'https://h.example/base/')
  t.equal(subjects.nameOf('/srv/r'), '/srv/r', 'what is no subject is shown as it is')
})
