import t from 'tap'
import { ok } from 'node:assert'
import fc from 'fast-check'
import type { HttpError } from '../../src/http/responses.js'
import { findRoute as findAnyRoute, parseTarget, type Route } from '../../src/http/route.js'

const findRoute = (target: string, method: string | undefined) =>
  findAnyRoute(target, method, { anyTarget: false })
const findWithUpstream = (target: string, method: string | undefined) =>
  findAnyRoute(target, method, { anyTarget: true })

const route = (target: string): Route => {
  const found = parseTarget(target)
  if (!found || typeof found === 'string') throw new Error(`no route for ${target}: ${found}`)
  return found
}

t.test('a target that Git serves is a route, with the method that it takes', async (t) => {
  const oid = 'ab/'.padEnd(41, 'c')
  const pack = `objects/pack/pack-${'d'.repeat(40)}`
  const sha256 = 'ab/'.padEnd(65, 'c')
  const get = ['HEAD', 'info/refs', 'objects/info/packs', 'objects/info/alternates', `objects/${oid}`]
  const dumb = [`objects/${sha256}`, 'objects/info/http-alternates', `${pack}.pack`, `${pack}.idx`]
  for (const resource of [...get, ...dumb]) {
    t.match(route(`/a/b.git/${resource}`), { repository: 'a/b.git', resource: `/${resource}`, method: 'GET' })
  }
  for (const resource of ['git-upload-pack', 'git-receive-pack', 'git-upload-archive']) {
    t.match(route(`/a.git/${resource}`), { repository: 'a.git', resource: `/${resource}`, method: 'POST' })
  }
})

t.test('a target that Git does not serve is no route', async (t) => {
  const others = [
    '',
    'config',
    'info',
    'info/refs/',
    'info/refs2',
    'objects/ab/cd',
    'git-upload-pack2',
    'head',
  ]
  for (const resource of [...others, 'objects/pack/pack-x.pack', 'refs/heads/main', 'packed-refs']) {
    t.equal(parseTarget(`/a.git/${resource}`), undefined, resource)
  }
  t.equal(parseTarget('/a.git%2Finfo/refs'), undefined, 'a resource is not percent-decoded')
  t.equal(parseTarget('/'), undefined)
})

t.test('the requested service is the last one of the query, decoded', async (t) => {
  const service = (query: string): string | undefined => route(`/a/info/refs${query}`).requestedService
  t.equal(service('?service=git-upload-pack'), 'git-upload-pack')
  t.equal(service('?service=git%2Dupload%2Dpack&x=y'), 'git-upload-pack')
  t.equal(service('?service=git-receive-pack&service=git-upload-pack'), 'git-upload-pack')
  t.equal(service('?service=a?b'), 'a?b')
  t.equal(service('?xservice=git-upload-pack'), undefined)
  t.equal(service(''), undefined)
})

t.test('kind and service follow from the target alone', async (t) => {
  for (const [target, kind, service] of [
    ['/a/info/refs?service=git-upload-pack', 'advertisement', 'git-upload-pack'],
    ['/a/info/refs?service=git-receive-pack', 'receive-pack-advertisement', 'git-receive-pack'],
    ['/a/info/refs?service=git-upload-archive', 'dumb', 'git-upload-archive'],
    ['/a/info/refs?service=git-x', 'dumb', 'dumb'],
    ['/a/info/refs', 'dumb', 'dumb'],
    ['/a/git-upload-pack', 'upload-pack', 'git-upload-pack'],
    ['/a/git-receive-pack', 'receive-pack', 'git-receive-pack'],
    ['/a/git-upload-archive', 'upload-archive', 'git-upload-archive'],
    ['/a/HEAD?service=git-receive-pack', 'dumb', 'dumb'],
  ] as const) {
    t.match(route(target), { kind, service }, target)
  }
})

t.test('a request is refused with the status that its target or method asks for', async (t) => {
  t.equal(findRoute('/a/HEAD', 'HEAD').repository, 'a')
  t.equal(findRoute('/a/git-upload-pack', 'POST').repository, 'a')
  for (const [target, method, status] of [
    ['*', 'GET', 400],
    ['/a/config', 'GET', 404],
    ['/a/../b/HEAD', 'GET', 404],
    [`/${'a'.repeat(4097)}/HEAD`, 'GET', 414],
    ['/a/HEAD', 'POST', 405],
    ['/a/git-upload-pack', 'HEAD', 405],
    ['/a/HEAD', undefined, 405],
  ] as const) {
    t.throws(() => findRoute(target, method), { name: 'HttpError', status }, `${method} ${status}`)
  }
  const allowed = (target: string, method: string): unknown => {
    try {
      return findRoute(target, method)
    } catch (error) {
      return (error as HttpError).headers
    }
  }
  t.same(allowed('/a/HEAD', 'POST'), ['Allow', 'GET, HEAD'])
  t.same(allowed('/a/git-upload-pack', 'GET'), ['Allow', 'POST'])
})

t.test('the repository is decoded once, and may be the root itself', async (t) => {
  t.equal(route('/a%20b/%C3%A9.git/info/refs').repository, 'a b/é.git')
  t.equal(route('/a%2Fb/info/refs').repository, 'a/b')
  t.equal(route('/%252e%252e/info/refs').repository, '%2e%2e', 'an escaped escape is a plain name')
  t.equal(route('/info/refs').repository, '')
  t.equal(route('http://example.com:80/a/info/refs?service=x').repository, 'a', 'the absolute form')
})

t.test('a resource is taken from the end', async (t) => {
  t.match(route('/info/refs/info/refs'), { repository: 'info/refs', resource: '/info/refs' })
  t.match(route('/git-upload-pack/HEAD'), { repository: 'git-upload-pack', resource: '/HEAD' })
})

t.test('a target that is not a path, or is longer than any path, is told apart', async (t) => {
  for (const target of ['*', '', 'a/info/refs', 'http://example.com', 'example.com:80']) {
    t.equal(parseTarget(target), 'not-a-target', target)
  }
  t.equal(parseTarget(`/${'a/'.repeat(3000)}info/refs`), 'too-long')
  t.match(
    parseTarget(`/${'%61'.repeat(4000)}/info/refs`),
    { resource: '/info/refs' },
    'encoded, a byte takes three',
  )
  t.equal(parseTarget(`/${'%61'.repeat(4097)}/info/refs`), 'too-long')
})

t.test('with an upstream behind, Git’s own requests have the same routes', async (t) => {
  for (const [target, method] of [
    ['/a/HEAD', 'HEAD'],
    ['/a/info/refs?service=git-upload-pack', 'GET'],
    ['/a.git/git-upload-pack', 'POST'],
    ['/a.git/git-receive-pack', 'POST'],
  ] as const) {
    t.equal(findWithUpstream(target, method), findRoute(target, method), target)
  }
  t.match(['/a/git-receive-pack', '/a/git-upload-pack'].map(route), [{ mutates: true }, { mutates: false }])
})

t.test('with an upstream behind, any other request passes', async (t) => {
  const lfs = '/info/lfs/objects'
  for (const [method, target, repository, service, mutates] of [
    ['POST', `/a/b${lfs}/batch`, 'a/b', 'git-receive-pack', false],
    ['POST', `/a/b.git${lfs}/batch?x=y`, 'a/b.git', 'git-receive-pack', false],
    ['GET', '/a.git/info/lfs/locks', 'a.git', 'dumb', false],
    ['PUT', `/a.git${lfs}/0123`, 'a.git', 'git-receive-pack', false],
    ['GET', '/a.git/config', 'a.git', 'dumb', false],
    ['HEAD', '/g/a.git/raw/b.git/x', 'g/a.git', 'dumb', false],
    ['PATCH', '/a.gitx/b', 'a.gitx/b', 'git-receive-pack', true],
    ['DELETE', '/api/v1/repos/a', 'api/v1/repos/a', 'git-receive-pack', true],
    ['POST', '/a/HEAD', 'a/HEAD', 'git-receive-pack', true],
    ['GET', '/a/git-upload-pack', 'a/git-upload-pack', 'dumb', false],
    ['OPTIONS', '/', '', 'git-receive-pack', false],
    ['GET', '//a%2Fb.git//x/', 'a/b.git', 'dumb', false],
    ['GET', 'http://example.com/a.git/x', 'a.git', 'dumb', false],
  ] as const) {
    const found = findWithUpstream(target, method)
    t.match(found, { repository, service, mutates, kind: 'pass', resource: '' }, `${method} ${target}`)
    t.equal(found.method, method === 'HEAD' ? 'GET' : method)
    t.throws(() => findRoute(target, method), { name: 'HttpError' })
  }
})

t.test(
  'what is not passed on: no path, no method of a resource, a path that no repository has',
  async (t) => {
    for (const [target, method, status] of [
      ['*', 'OPTIONS', 400],
      ['example.com:80', 'CONNECT', 400],
      ['/a', 'CONNECT', 405],
      ['/a', 'TRACE', 405],
      ['/a', undefined, 405],
      ['/a%00', 'GET', 404],
      ['/a%zz', 'GET', 404],
      [`/${'a'.repeat(4097)}`, 'GET', 414],
    ] as const) {
      t.throws(() => findWithUpstream(target, method), { name: 'HttpError', status }, `${method} ${status}`)
    }
  },
)

t.test(
  'a target that another server could take for another is refused with an upstream behind',
  async (t) => {
    for (const target of [
      ...[
        '/a/../b.git/x',
        '/a/./x',
        '/a/%2e%2E/b',
        '/a%2f..%2fb',
        '/a/..;/b',
        '/a/..%3bx/b',
        '/a/.%2e%5cb/x',
      ],
      ...['/a\\..\\b/HEAD', '/a.git#/info/refs', '/a.git/HEAD#', '/a/..', '/a/..?x'],
      '/a/info/refs?service=git-receive-pack&service=git-upload-pack',
      // Only for servers that decode, or merge slashes, before they look for what is asked.
      ...['/a/info%2frefs?service=git-upload-pack', '/a/%69nfo/refs', '/a/info//refs', '/a/info/refs/'],
      ...['/a/git-upload%2Dpack', '/a//git%2dreceive-pack/', '/a.git/%48EAD'],
    ]) {
      t.throws(() => findWithUpstream(target, 'GET'), { name: 'HttpError', status: 400 }, target)
    }
    for (const target of ['/a..b/x', '/...', '/a;b/x', '/.a/x', '/a/info/refs?service=a&service=a']) {
      t.doesNotThrow(() => findWithUpstream(target, 'GET'), target)
    }
  },
)

t.test('no target leads out of the root (R8)', async (t) => {
  const parts = [
    '..',
    '.',
    '',
    '%2e%2e',
    '%2E.',
    '.%2e',
    '%2f',
    '%2F..',
    '%00',
    '%ff',
    '%c0%ae',
    '%',
    '%zz',
    '\\',
  ]
  const component = fc.oneof(
    fc.constantFrom(...parts),
    fc.constantFrom('a', 'b.git', '...', '%252e', ' ', '~'),
  )
  const path = fc.array(component, { minLength: 1, maxLength: 6 }).map((all) => all.join('/'))
  const names = (repository: string): string[] => (repository === '' ? [] : repository.split('/'))
  const isSafe = (repository: string): boolean =>
    !names(repository).some((name) => ['', '.', '..'].includes(name) || name.includes('\0'))
  fc.assert(
    fc.property(path, (encoded) => {
      const found = parseTarget(`/${encoded}/info/refs?service=git-upload-pack`)
      if (!found || typeof found === 'string') return
      ok(isSafe(found.repository))
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(path, fc.constantFrom('', '/info/lfs/locks', '/x.git/y'), (encoded, rest) => {
      try {
        ok(isSafe(findWithUpstream(`/${encoded}${rest}`, 'GET').repository))
      } catch (error) {
        ok([400, 404, 414].includes((error as HttpError).status))
      }
    }),
    { numRuns: 2000 },
  )
  t.pass()
})
