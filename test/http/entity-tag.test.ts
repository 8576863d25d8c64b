import t from 'tap'
import { entityTag, matchesDigest, matchesEntry, tagOf } from '../../src/http/entity-tag.js'
import type { Entry } from '../../src/streamcache/index.js'

const sha256 = 'ab'.repeat(32)
const whole = { sha256 } as unknown as Entry
const growing = { sha256: undefined } as unknown as Entry

t.test('a whole entry has a tag for each form, a growing one has none', async (t) => {
  t.equal(entityTag(whole), `"${sha256}"`)
  t.equal(entityTag(whole, 'gzip'), `"${sha256}-gzip"`)
  t.equal(entityTag(growing), undefined)
})

t.test('a condition names the entry in any form, strong or weak', async (t) => {
  for (const header of [
    entityTag(whole)!,
    entityTag(whole, 'zstd')!,
    `W/"${sha256}"`,
    `"x", W/"${sha256}-gzip" ,"y"`,
    '*',
    ' * ',
  ]) {
    t.equal(matchesEntry(header, whole), true, header)
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
    t.equal(matchesEntry(header, whole), false, header)
  }
  t.equal(matchesEntry(entityTag(whole)!, growing), false)
})

t.test('bytes that are no entry have the same tags', async (t) => {
  t.equal(tagOf(sha256), entityTag(whole))
  t.equal(tagOf(sha256, 'gzip'), entityTag(whole, 'gzip'))
  t.equal(matchesDigest(tagOf(sha256, 'zstd'), sha256), true)
  t.equal(matchesDigest(tagOf('cd'.repeat(32)), sha256), false)
})
