import t from 'tap'
import { RedirectElsewhere } from '../../../src/origin/upstream/client/upstream-client.js'
import { isSameRepository, redirection } from '../../../src/origin/upstream/renamed.js'
import type { UpstreamRepository } from '../../../src/origin/upstream/upstream.js'

const at = (path: string): URL => new URL(`http://git.example${path}/info/refs?service=git-upload-pack`)

t.test('a redirect to another spelling stays with the repository', async (t) => {
  for (const path of ['/a/x.git', '/A/x', '/a/x/', '/a//x'])
    t.ok(isSameRepository(at(path), at('/a/x')), path)
  for (const path of ['/b/x', '/a/y', '/a/x/y', '/secret'])
    t.notOk(isSameRepository(at(path), at('/a/x')), path)
})

t.test('the client of a renamed repository is told to ask refstream for the other one', async (t) => {
  const told = (url: string, path: string, to: string): unknown => {
    const repository = { upstream: { url }, path } as UpstreamRepository
    const error = redirection(repository, new RedirectElsewhere(301, new URL(to), at(path)))
    return error instanceof RedirectElsewhere ? 'refused' : [error.status, ...error.headers]
  }
  const query = '/info/refs?service=git-upload-pack'
  const host = 'http://git.example'
  const rows: [url: string, path: string, to: string, location: string | undefined][] = [
    [host, '/a/x', `${host}/b/c/y`, '/b/c/y'],
    [`${host}/base`, '/a/x.git', `${host}/base/b/y`, '/b/y'],
    [`${host}/base`, '', `${host}/base/b`, '/b'],
    [`${host}/base`, '/a/x', `${host}/other/y`, undefined],
    [`${host}/base`, '/a/x', `${host}/baseless/y`, undefined],
    [host, '/a/x', 'http://other.example/b/y', undefined],
    [host, '/a/x', 'http://git.example:81/b/y', undefined],
  ]
  for (const [url, path, to, location] of rows) {
    const answer = told(url, path, to + query)
    if (location === undefined) {
      t.equal(answer, 'refused', to)
      continue
    }
    const [status, name, value] = answer as [number, string, string]
    t.same([status, name], [301, 'Location'])
    // A client at refstream, and one at a proxy that has refstream below a path.
    for (const front of ['http://refstream', 'http://proxy/git'])
      t.equal(new URL(value, front + path + query).href, front + location + query)
  }
})
