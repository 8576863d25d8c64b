import t from 'tap'
import fc from 'fast-check'
import { printablePath } from '../../src/telemetry/printable-path.js'

t.test('what may be a credential is cut out of a path', async (t) => {
  const cases = [
    ['/team/r.git/info/refs?service=git-upload-pack&private_token=s3cret', '/team/r.git/info/refs'],
    ['/r.git#s3cret', '/r.git'],
    ['/https://alice:s3cret@host/r.git', '/https://host/r.git'],
    ['/https:/alice:s3@cret@host/r.git', '/https:/host/r.git'],
    ['/https://s3cret@host/r.git', '/https://host/r.git'],
    ['/pkg@1.2/@scope/r.git', '/pkg@1.2/@scope/r.git'],
    ['', ''],
  ] as const
  for (const [path, expected] of cases) t.equal(printablePath(path), expected, path)
})

t.test('a path is bounded, and a long hostile one costs little', async (t) => {
  const began = performance.now()
  t.equal(printablePath(`/${'a'.repeat(5000)}`).length, 2049)
  printablePath('/:@'.repeat(100_000))
  t.ok(performance.now() - began < 2000)
})

t.test('a password in a URL is never there', async () => {
  const word = fc.stringMatching(/^[a-z0-9._@:-]{1,10}$/)
  fc.assert(
    fc.property(word, word, (before, after) => {
      const path = printablePath(`/https://${before}:S3CRET${after}@host/r.git?x=S3CRET`)
      return !path.includes('S3CRET')
    }),
  )
})
