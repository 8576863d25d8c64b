import t from 'tap'
import { matchesDigest, tagOf } from '../../src/http/entity-tag.js'

const sha256 = 'ab'.repeat(32)

t.test('bytes have a tag for each form', async (t) => {
  t.equal(tagOf(sha256), `"${sha256}"`)
  t.equal(tagOf(sha256, 'gzip'), `"${sha256}-gzip"`)
})

t.test('a condition names bytes in any form, strong or weak', async (t) => {
  for (const header of [
    tagOf(sha256),
    tagOf(sha256, 'zstd'),
    `W/"${sha256}"`,
    `"x", W/"${sha256}-gzip" ,"y"`,
    '*',
    ' * ',
  ]) {
    t.equal(matchesDigest(header, sha256), true, header)
  }
  for (const header of [
    '',
    'x',
    `"${'cd'.repeat(32)}"`,
    sha256,
    `"${sha256}`,
    `"${sha256}-"`,
    `"${sha256}-GZIP"`,
  ]) {
    t.equal(matchesDigest(header, sha256), false, header)
  }
  t.equal(matchesDigest(tagOf(sha256), undefined), false)
})
