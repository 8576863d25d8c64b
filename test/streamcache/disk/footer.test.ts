import t from 'tap'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import {
  decodeFooter,
  encodeFooter,
  endsOtherFormat,
  footerLength,
  tailLength,
  type Footer,
} from '../../../src/streamcache/disk/footer.js'

const footer: Footer = { key: 'k', token: 't', length: 3, sha256: 'a'.repeat(64), committedAt: 1 }

/** Reads a footer as the store does: the tail first, then the JSON before it. */
const decode = (file: Buffer): Footer | undefined => {
  const length = footerLength(file.subarray(-tailLength))
  if (length === undefined || length + tailLength > file.length) return undefined
  return decodeFooter(file.subarray(file.length - tailLength - length))
}

/** A footer with any JSON and a correct digest. */
function seal(json: string): Buffer {
  const bytes = Buffer.from(json)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  const digest = createHash('sha256').update(bytes).update(length).digest()
  return Buffer.concat([bytes, length, digest, Buffer.from('rfstrm02')])
}

t.test('a footer is decoded as it was encoded, for any key and token', async (t) => {
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

t.test('a truncated footer is rejected', async (t) => {
  const whole = encodeFooter(footer)
  for (let length = 0; length < whole.length; length++) {
    if (decode(whole.subarray(0, length))) t.fail(`cut to ${length} bytes`)
  }
  t.pass()
})

t.test('JSON with other fields is rejected', async (t) => {
  t.same(decode(seal(JSON.stringify(footer))), footer)
  t.equal(decode(seal('{')), undefined)
  t.equal(decode(seal('null')), undefined)
  for (const wrong of [
    { length: -1 },
    { length: 0.5 },
    { sha256: 'abc' },
    { key: 1 },
    { token: undefined },
    { other: 1 },
  ]) {
    t.equal(decode(seal(JSON.stringify({ ...footer, ...wrong }))), undefined)
  }
})

t.test('JSON with duplicate keys, or encoded in another way, is rejected', async (t) => {
  const json = JSON.stringify(footer)
  for (const other of [
    json.replace('{', '{"key":"other",'),
    json.replace('}', ',"key":"other"}'),
    json.replace('}', ',"__proto__":{}}'),
    json.replace('"k"', '"\\u006b"'),
    json.replace('1}', '1.0}'),
    ` ${json}`,
    JSON.stringify(Object.fromEntries(Object.entries(footer).reverse())),
  ]) {
    t.equal(decode(seal(other)), undefined, other)
  }
})

t.test('a footer with flipped bits is rejected, whichever they are', async (t) => {
  const whole = encodeFooter({ ...footer, key: 'advertisement v0 /srv/ünï.git' })
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = Buffer.from(whole)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    if (decode(flipped)) t.fail(`bit ${bit}`)
  }
  const mask = fc.uint8Array({ minLength: whole.length, maxLength: whole.length })
  fc.assert(
    fc.property(mask, (bits) => {
      const changed = whole.map((byte, index) => byte ^ bits[index]!)
      return bits.every((byte) => byte === 0) || decode(Buffer.from(changed)) === undefined
    }),
  )
  t.pass()
})

t.test('footers of other formats are distinguished from missing footers', async (t) => {
  t.ok(endsOtherFormat(Buffer.from('{}\0\0\0\u0002rfstrm01')))
  t.ok(endsOtherFormat(Buffer.from('rfstrm99')))
  for (const none of ['', 'rfstrm0', 'rfstrm0x', 'xfstrm01', 'rfstrm01x']) {
    t.notOk(endsOtherFormat(Buffer.from(none)), none)
  }
  t.notOk(endsOtherFormat(encodeFooter(footer)))
})
