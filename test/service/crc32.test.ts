import t from 'tap'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { combineCrc32 } from '../../src/service/crc32.js'

const bytes = fc.uint8Array({ maxLength: 300 })

t.test('the CRC of bytes is combined from those of their parts', async () => {
  fc.assert(
    fc.property(bytes, bytes, (first, second) => {
      const whole = crc32(Buffer.concat([first, second]))
      return combineCrc32(crc32(first), crc32(second), second.length) === whole
    }),
  )
})

t.test('also of parts that are long, and of those that are empty', async (t) => {
  const first = crc32('first')
  const zeros = Buffer.alloc(1 << 20)
  for (const length of [0, 1, 65_535, 65_536, 1_000_003]) {
    const second = zeros.subarray(0, length)
    t.equal(combineCrc32(first, crc32(second), length), crc32(second, first), `${length} bytes`)
    t.equal(combineCrc32(0, crc32(second), length), crc32(second))
  }
})

t.test('lengths beyond 32 bits are those that are left by shorter parts', async (t) => {
  let shifted = crc32('first')
  for (let times = 0; times < 8; times++) shifted = combineCrc32(shifted, 0, 2 ** 30)
  t.equal(combineCrc32(crc32('first'), 0, 2 ** 33), shifted)
})
