import t from 'tap'
import { pathBytes } from '../../../src/git/filesystem/byte-path.js'
import { decodeRepositoryPath, isRepositoryPath } from '../../../src/git/state/repository-path.js'

t.test('a path of a URL is decoded once, and refused if it could leave the root', async (t) => {
  const decoded = (encoded: string): string | undefined => decodeRepositoryPath(encoded)
  t.equal(decoded('/a/b.git'), 'a/b.git')
  t.equal(decoded(''), '')
  t.equal(decoded('/caf%C3%A9%20%2b'), 'café +')
  t.equal(decoded('/%252e%252e/x'), '%2e%2e/x', 'decoded once')
  t.equal(decoded('/...'), '...')
  t.equal(decoded('/~root/x'), '~root/x', 'below the root, Git expands nothing')
  for (const slashes of ['//a', '/a//', '///a/', '/a']) t.equal(decoded(slashes), 'a', slashes)
  t.equal(decoded('/g//a%2f%2fb'), 'g/a/b')
  t.equal(decoded('//'), '')
  // Bytes that are not UTF-8 are bytes of a name, and never a part of `..`.
  const bytes = ['/caf%E9.git', '/%ff', '/%c0%ae%c0%ae/', '/%ed%a0%80', '/%f0%9f%98', '/é\xe9']
  for (const encoded of bytes) {
    const raw = Buffer.from(
      encoded.replace(/%(..)/g, (_, code: string) => String.fromCharCode(parseInt(code, 16))),
      'latin1',
    )
    t.same(
      pathBytes(decoded(encoded)!),
      Buffer.from(raw.toString('latin1').replace(/^\/|\/$/g, ''), 'latin1'),
      encoded,
    )
  }
  const refused = ['/..', '/a/../b', '/%2e%2e/b', '/a%2f..%2fb', '/.', '/a/./b', '//..', '/a//./b', '/..//a']
  for (const encoded of [...refused, '/a%00', '/%', '/%zz', '/%f', '/a%2']) {
    t.equal(decoded(encoded), undefined, encoded)
  }
})

t.test('a decoded path must be a sequence of names', async (t) => {
  for (const path of ['a', 'a/b.git', '...', '..a/b', 'a\\b', 'a b']) t.ok(isRepositoryPath(path), path)
  for (const path of ['', '/a', 'a/', 'a//b', '.', 'a/.', '..', 'a/../b', 'a\0b']) {
    t.notOk(isRepositoryPath(path), JSON.stringify(path))
  }
})
