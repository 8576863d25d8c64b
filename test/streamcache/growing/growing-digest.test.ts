import t from 'tap'
import { GrowingDigest } from '../../../src/streamcache/growing/growing-digest.js'
import { sha256 } from '../../support/sha256.js'

const abc = Buffer.from('abc')

t.test('it is the SHA-256 of what was appended, once it has ended', async (t) => {
  const digest = new GrowingDigest(true)
  t.equal(digest.soFar, sha256(''))
  digest.append(Buffer.from('a'))
  digest.append(Buffer.from('bc'))
  t.same([digest.soFar, digest.result], [sha256('abc'), undefined])
  digest.append(Buffer.from('d'))
  digest.end()
  t.equal(digest.result, sha256('abcd'))
  digest.end()
  t.equal(digest.result, sha256('abcd'), 'for good')
})

t.test('it may begin later, with what is there by then', async (t) => {
  const digest = new GrowingDigest(false)
  digest.append(Buffer.from('ab'))
  digest.begin([Buffer.from('a'), Buffer.from('b')])
  digest.append(Buffer.from('c'))
  digest.end()
  t.equal(digest.result, sha256('abc'))
})

t.test('one that never begins has no result, and may begin after the end', async (t) => {
  const digest = new GrowingDigest(false)
  digest.append(abc)
  digest.end()
  t.equal(digest.result, undefined)
  digest.begin([abc])
  digest.end()
  t.equal(digest.result, sha256('abc'))
})

t.test('one of known bytes has ended', async (t) => {
  const digest = GrowingDigest.of(sha256('abc'))
  digest.end()
  t.equal(digest.result, sha256('abc'))
})
