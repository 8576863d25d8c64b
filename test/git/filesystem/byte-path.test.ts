import t from 'tap'
import fc from 'fast-check'
import { pathBytes, pathText, systemPath } from '../../../src/git/filesystem/byte-path.js'

t.test('any bytes become a text and back', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (array) => {
      const bytes = Buffer.from(array)
      const text = pathText(bytes)
      return pathBytes(text).equals(bytes)
    }),
    { numRuns: 2000 },
  )
  t.end()
})

t.test('valid UTF-8 is decoded, also next to other bytes', (t) => {
  for (const text of ['', 'a/b.git', 'café', '名前', '😀.git', '\uFFFD', 'a\u{10FFFF}b']) {
    t.equal(pathText(Buffer.from(text)), text)
    t.equal(systemPath(text), text)
  }
  t.equal(pathText(Buffer.from('caf\xe9.git', 'latin1')), 'caf\uDCE9.git')
  t.equal(pathText(Buffer.concat([Buffer.from('é'), Buffer.of(0xe9), Buffer.from('😀')])), 'é\uDCE9😀')
  t.same(systemPath('caf\uDCE9.git'), Buffer.from('caf\xe9.git', 'latin1'))
  t.end()
})

t.test('invalid sequences are kept as bytes', (t) => {
  // Overlong forms, surrogates and truncated sequences (RFC 3629, section 3).
  for (const hex of ['c0ae', 'c0ae2e', 'eda080', 'f09f98', 'f8888080', '80', 'ff2fff', 'e282']) {
    const bytes = Buffer.from(hex, 'hex')
    const text = pathText(bytes)
    t.same(pathBytes(text), bytes, hex)
    t.notOk(text.includes('\uFFFD'), hex)
  }
  t.end()
})
