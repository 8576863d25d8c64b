import fc from 'fast-check'
import t from 'tap'
import { pathText } from '../../../src/git/filesystem/byte-path.js'
import { decodeRepositoryPath } from '../../../src/git/state/repository-path.js'
import { encodePath, subjectOf } from '../../../src/origin/upstream/repository-address.js'

t.test('a path is percent-encoded, but for its slashes', async (t) => {
  t.equal(encodePath('group/my repo.git'), 'group/my%20repo.git')
  t.equal(encodePath('a%2fb/c?d#e'), 'a%252fb/c%3Fd%23e')
  t.equal(encodePath('größe'), 'gr%C3%B6%C3%9Fe')
  t.equal(encodePath('😀'), '%F0%9F%98%80')
  t.equal(encodePath(pathText(Buffer.from([0x61, 0xff, 0xc3, 0x62]))), 'a%FF%C3b')
  t.equal(encodePath(''), '')
})

/** Paths as clients may send them: bytes, decoded; only those that may be repositories. */
const paths = fc
  .uint8Array({ maxLength: 20 })
  .map((bytes) => decodeRepositoryPath([...bytes].map(percentEncoded).join('')))
  .filter((path) => path !== undefined)
const percentEncoded = (byte: number): string => `%${byte.toString(16).padStart(2, '0')}`

/** Mostly what paths are made of, so that segments come about. */
const texts = fc
  .array(
    fc.constantFrom(
      ...['a', 'B', '.', '..', '/', '\\', '%', ' ', '\n', '?', '#', '.git', 'é', '\u{1F600}', '\uDCFF'],
    ),
    { maxLength: 12 },
  )
  .map((parts) => decodeRepositoryPath(encodePath(parts.join(''))))
  .filter((path) => path !== undefined)

t.test('decoding returns the path that was encoded', async () => {
  fc.assert(fc.property(fc.oneof(paths, texts), (path) => decodeRepositoryPath(encodePath(path)) === path))
})

t.test('an encoded path leads nowhere else', async () => {
  fc.assert(
    fc.property(fc.oneof(paths, texts), (path) => {
      const encoded = encodePath(path)
      const { pathname, search, hash } = new URL(`http://host/base/${encoded}`)
      const isPrintable = /^[!-~]*$/.test(encoded) && !/[\\?#]|\/\//.test(encoded)
      return isPrintable && pathname === `/base/${encoded}` && search === '' && hash === ''
    }),
  )
})

t.test('a repository has one subject, whatever its server lets it be called', async (t) => {
  const url = 'https://git.example'
  const subject = subjectOf(url, 'group/repo')
  for (const path of ['group/repo.git', 'Group/Repo', 'GROUP/REPO.GIT'])
    t.equal(subjectOf(url, path), subject, path)
  t.not(subjectOf(url, 'group/repo.git.git'), subject)
  t.not(subjectOf('https://other.example', 'group/repo'), subject)
  t.equal(subjectOf('https://git.example/base', 'r'), subjectOf(url, 'base/r'), 'it is one repository')
  fc.assert(
    fc.property(paths, (path) => {
      const names = [path, path.toLowerCase(), `${path}.git`, `${path.toLowerCase()}.GIT`]
      const isSuffixed = /\.git$/i.test(path)
      return new Set(names.slice(0, isSuffixed ? 2 : 4).map((name) => subjectOf(url, name))).size === 1
    }),
  )
})
