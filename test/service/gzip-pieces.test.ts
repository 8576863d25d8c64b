import t from 'tap'
import zlib, { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { GzipPieces } from '../../src/service/gzip-pieces.js'
import { Rope } from '../../src/streamcache/index.js'

interface Inflated {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

const chunk = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 2000 }),
  fc.string({ minLength: 1, maxLength: 100, unit: 'grapheme' }).map((text) => Buffer.from(text.repeat(50))),
  fc.constantFrom('0000', '\0', 'a'.repeat(70_000)).map((text) => Buffer.from(text)),
)

t.test('what is glued of any chunks is one gzip stream of their bytes', async () => {
  const pieces = new GzipPieces()
  await fc.assert(
    fc.asyncProperty(fc.array(chunk, { maxLength: 20 }), async (parts) => {
      const chunks = parts.map((part) => Buffer.from(part))
      const stream = Buffer.concat(await pieces.gzip(new Rope(chunks)))
      const { buffer, engine } = gunzipSync(stream, { info: true }) as unknown as Inflated
      // As many bytes as were read by the end of the first member: there is no second one.
      return buffer.equals(Buffer.concat(chunks)) && engine.bytesWritten === stream.length
    }),
    { numRuns: 50 },
  )
})

t.test('a chunk is compressed once for all versions that have it', async (t) => {
  const chunks = ['one', 'two', 'three'].map((text) => Buffer.from(text.repeat(1000)))
  const pieces = new GzipPieces()
  const first = await pieces.gzip(new Rope(chunks))
  const changed = chunks.with(1, Buffer.from('four'.repeat(1000)))
  const second = await pieces.gzip(new Rope(changed))
  t.equal(gunzipSync(Buffer.concat(second)).toString(), changed.join(''))
  // Header, three pieces, end.
  t.same(
    second.map((part, index) => part === first[index]),
    [true, true, false, true, false],
  )
  const equal = await pieces.gzip(new Rope(chunks.map((each) => Buffer.from(each))))
  t.not(equal[1], first[1], 'only the same Buffer is known to be the same')
})

t.test('a damaged byte is found by the checksum', async (t) => {
  const text = Buffer.from('abc'.repeat(1000))
  const stream = Buffer.concat(await new GzipPieces().gzip(new Rope([text, text])))
  for (const at of [stream.length - 8, stream.length - 4]) {
    const damaged = Buffer.from(stream)
    damaged[at]! ^= 1
    t.throws(() => gunzipSync(damaged))
  }
})

t.test('other decoders of Node read it as it comes', async (t) => {
  const text = Buffer.from('abc'.repeat(10_000))
  const parts = await new GzipPieces().gzip(new Rope([text, text]))
  const gunzip = zlib.createGunzip()
  for (const part of parts) gunzip.write(part)
  gunzip.end()
  t.same(Buffer.concat(await gunzip.toArray()), Buffer.concat([text, text]))
})
