import t from 'tap'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { ChunkSums, defaultChunkSize } from '../../../src/streamcache/disk/chunk-sums.js'
import { bytesOf } from '../../support/producers.js'

t.test('each chunk has the checksum of its bytes, whatever parts they came in', async (t) => {
  const parts = fc.array(fc.nat(100), { maxLength: 20 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), parts, (chunkSize, lengths) => {
      const sums = new ChunkSums(chunkSize)
      const total = lengths.reduce((sum, length) => sum + length, 0)
      const bytes = bytesOf(1, 0, total)
      let at = 0
      for (const length of lengths) sums.append(bytes.subarray(at, (at += length)))
      for (let offset = 0; offset < total; offset++) {
        const { start, length, sum } = sums.chunkAt(offset)
        const chunk = bytes.subarray(start, start + length)
        if (start % chunkSize !== 0 || offset < start || offset >= start + length) return false
        if (start + length < total && length !== chunkSize) return false
        if (crc32(chunk) !== sum) return false
      }
      return sums.chunkAt(total).length + sums.chunkAt(total).start === total
    }),
  )
  t.pass()
})

t.test('chunks have 32 KiB unless another size is given', async (t) => {
  const sums = new ChunkSums()
  sums.append(Buffer.alloc(2 * defaultChunkSize))
  t.match(sums.chunkAt(defaultChunkSize + 5), { start: 32 * 1024, length: 32 * 1024 })
})
