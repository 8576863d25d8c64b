import t from 'tap'
import fc from 'fast-check'
import {
  decodeFooter,
  encodeFooter,
  footerLength,
  tailLength,
  type Footer,
} from '../../src/streamcache/footer.js'

const footer: Footer = { key: 'k', token: 't', length: 3, sha256: 'a'.repeat(64), committedAt: 1 }

/** As the store reads it: the tail first, then the JSON before it. */
const decode = (file: Buffer): Footer | undefined => {
  const length = footerLength(file.subarray(-tailLength))
  if (length === undefined || length + tailLength > file.length) return undefined
  return decodeFooter(file.subarray(file.length - tailLength - length, file.length - tailLength))
}

t.test('what is encoded is decoded, whatever text the key and the token are', async (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 100 })
  fc.assert(
    fc.property(text, text, fc.maxSafeNat(), (key, token, length) => {
      const written = { ...footer, key, token, length }
      const read = decode(Buffer.concat([Buffer.from('some bytes'), encodeFooter(written)]))
      return JSON.stringify(read) === JSON.stringify(written)
    }),
  )
  t.pass()
})

t.test('a cut footer is none', async (t) => {
  const whole = encodeFooter(footer)
  for (let length = 0; length < whole.length; length++) {
    if (decode(whole.subarray(0, length))) t.fail(`cut to ${length} bytes`)
  }
  t.pass()
})

t.test('JSON that is not a footer is none', async (t) => {
  t.equal(decodeFooter(Buffer.from('{')), undefined)
  t.equal(decodeFooter(Buffer.from('null')), undefined)
  for (const wrong of [
    { length: -1 },
    { length: 0.5 },
    { sha256: 'abc' },
    { key: 1 },
    { token: undefined },
  ]) {
    t.equal(decodeFooter(Buffer.from(JSON.stringify({ ...footer, ...wrong }))), undefined)
  }
})
