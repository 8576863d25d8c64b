import t from 'tap'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import {
  decodeMetadata,
  encodeMetadata,
  endsInFooter,
  footerEndLength,
  hasOtherFormat,
  isMetadataName,
  metadataPath,
  type Metadata,
} from '../../../src/streamcache/disk/metadata.js'
import { footer } from '../../support/footer.js'

const metadata: Metadata = { key: 'k', token: 't', length: 3, sha256: 'a'.repeat(64), committedAt: 1 }
const whole = encodeMetadata(metadata)

/** Returns any JSON object with a correct checksum. */
function seal(json: string): Buffer {
  const checksum = createHash('sha256').update(json).digest('hex')
  return Buffer.from(`${json.slice(0, -1)},"checksum":"${checksum}"}\n`)
}

t.test('metadata is decoded as it was encoded, for any key and token', async (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 100 })
  fc.assert(
    fc.property(text, text, fc.maxSafeNat(), (key, token, length) => {
      const written = { ...metadata, key, token, length }
      return JSON.stringify(decodeMetadata(encodeMetadata(written))) === JSON.stringify(written)
    }),
  )
  t.pass()
})

t.test('a metadata file is one line of JSON, with its format in front', async (t) => {
  const text = whole.toString()
  const { checksum, ...fields } = JSON.parse(text) as Record<string, unknown>
  t.same(fields, { format: 3, ...metadata })
  t.equal(checksum, createHash('sha256').update(JSON.stringify(fields)).digest('hex'))
  t.ok(text.startsWith('{"format":3,') && text.indexOf('\n') === text.length - 1)
})

t.test('truncated metadata is rejected', async (t) => {
  for (let length = 0; length < whole.length; length++) {
    if (decodeMetadata(whole.subarray(0, length))) t.fail(`cut to ${length} bytes`)
  }
  t.pass()
})

t.test('JSON with other fields is rejected', async (t) => {
  const fields = { format: 3, ...metadata }
  t.same(decodeMetadata(seal(JSON.stringify(fields))), metadata)
  for (const none of ['', '{', 'null', '[]', '{}\n']) {
    t.equal(decodeMetadata(Buffer.from(none)), undefined, none)
  }
  for (const wrong of [
    { format: 2 },
    { format: 4 },
    { format: '3' },
    { length: -1 },
    { length: 0.5 },
    { sha256: 'abc' },
    { key: 1 },
    { token: undefined },
    { other: 1 },
  ]) {
    t.equal(decodeMetadata(seal(JSON.stringify({ ...fields, ...wrong }))), undefined)
  }
})

t.test('JSON with duplicate keys, or encoded in another way, is rejected', async (t) => {
  const fields = { format: 3, ...metadata }
  const json = JSON.stringify(fields)
  for (const other of [
    json.replace('{', '{"key":"other",'),
    json.replace('}', ',"key":"other"}'),
    json.replace('}', ',"checksum":"other"}'),
    json.replace('}', ',"__proto__":{}}'),
    json.replace('"k"', '"\\u006b"'),
    json.replace('1}', '1.0}'),
    ` ${json}`,
    JSON.stringify(Object.fromEntries(Object.entries(fields).reverse())),
  ]) {
    t.equal(decodeMetadata(seal(other)), undefined, other)
  }
  for (const behind of ['\n', ' ', '\0', whole.toString()]) {
    t.equal(decodeMetadata(Buffer.concat([whole, Buffer.from(behind)])), undefined)
  }
})

t.test('metadata with flipped bits is rejected, whichever they are', async (t) => {
  const bytes = encodeMetadata({ ...metadata, key: 'advertisement v0 /srv/ünï.git' })
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    if (decodeMetadata(flipped)) t.fail(`bit ${bit}`)
  }
  const mask = fc.uint8Array({ minLength: bytes.length, maxLength: bytes.length })
  fc.assert(
    fc.property(mask, (bits) => {
      const changed = bytes.map((byte, index) => byte ^ bits[index]!)
      return bits.every((byte) => byte === 0) || decodeMetadata(Buffer.from(changed)) === undefined
    }),
  )
  t.pass()
})

t.test('metadata of other formats is distinguished from damaged metadata', async (t) => {
  for (const other of ['{"format":2,', '{"format":4,"name":"x"}\n', '{"format":10,"key"']) {
    t.ok(hasOtherFormat(Buffer.from(other)), other)
  }
  for (const damaged of ['', '{"format":', '{"format":x,', ' {"format":4,', '{"format":3,"key"', '{"key":']) {
    t.notOk(hasOtherFormat(Buffer.from(damaged)), damaged)
  }
  t.notOk(hasOtherFormat(whole))
})

t.test('bodies with a footer of formats 1 and 2 are recognized by their last bytes', async (t) => {
  t.ok(endsInFooter(footer(metadata).subarray(-footerEndLength)))
  t.ok(endsInFooter(Buffer.from('rfstrm01')))
  for (const none of ['', 'rfstrm0', 'rfstrm0x', 'xfstrm01', 'rfstrm01x']) {
    t.notOk(endsInFooter(Buffer.from(none)), none)
  }
})

t.test('the metadata stands beside its body', async (t) => {
  t.equal(metadataPath('/a/b.c'), '/a/b.c.meta')
  t.same([isMetadataName('b.meta'), isMetadataName('b.meta.x'), isMetadataName('meta')], [true, false, false])
})
