import t from 'tap'
import fc from 'fast-check'
import { ErrorEnding } from '../../../src/git/protocol/error-ending.js'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'

const endsInError = (...chunks: (Buffer | string)[]): boolean => {
  const ending = new ErrorEnding()
  for (const chunk of chunks) ending.push(Buffer.from(chunk as string, 'latin1'))
  return ending.endsInError
}

t.test('an answer that ends in a complete error message of Git is recognised', async (t) => {
  const error = pktLine('ERR upload-pack: not our ref 1234')
  t.ok(endsInError(error))
  t.ok(endsInError(pktLine('NAK\n'), error), 'after something else')
  t.ok(endsInError(pktLine('\x01PACK…'), pktLine('\x03fatal: no')), 'on the third band')
  t.ok(endsInError(pktLine('\x03fatal: no'), flushPacket), 'also before a flush packet')
  t.ok(endsInError(pktLine('NACK unable to spawn subprocess\n')), 'of upload-archive')
})

t.test('an incomplete error message, or one that is followed by something, is not recognised', async (t) => {
  const error = pktLine('ERR no')
  t.notOk(endsInError())
  t.notOk(endsInError(flushPacket))
  t.notOk(endsInError(error.subarray(0, -1)), 'cut')
  t.notOk(endsInError(error, '00'), 'something follows')
  t.notOk(endsInError(error, pktLine('\x01PACK')))
  t.notOk(endsInError(pktLine('ERROR')), 'not the word')
  t.notOk(endsInError(pktLine('ER')))
  t.notOk(endsInError(pktLine('\x02fatal: to be shown')), 'progress')
  t.notOk(endsInError(pktLine('NAK\n'), `PACK${error.toString()}`, error), 'a pack without a side-band')
})

t.test('the result does not depend on how the answer is cut into chunks', async () => {
  const packet = fc.oneof(
    fc.constantFrom('ERR no', '\x03no', 'NACK x', 'NAK\n', '\x01', '\x02ERR ', 'ERR', 'ERR ', ''),
    fc.string({ unit: 'binary-ascii', maxLength: 20 }),
  )
  const property = fc.property(
    fc.array(packet, { maxLength: 6 }),
    fc.nat(40),
    fc.infiniteStream(fc.nat(9)),
    (packets, cut, sizes) => {
      // An empty text stands for a flush packet.
      const whole = Buffer.concat(packets.map((text) => (text === '' ? flushPacket : pktLine(text))))
      const bytes = whole.subarray(0, Math.max(0, whole.length - Math.max(0, cut - 20)))
      const ending = new ErrorEnding()
      let at = 0
      while (at < bytes.length) {
        const size = sizes.next().value as number
        ending.push(bytes.subarray(at, at + size))
        at += size
      }
      const last = packets.filter((text) => text !== '').at(-1) ?? ''
      const expected =
        bytes.length === whole.length && ['ERR ', 'NACK', '\x03'].some((mark) => last.startsWith(mark))
      // A cut at a packet's end leaves a shorter answer, which may end in an error of its own.
      if (bytes.length < whole.length && ending.endsInError) return endsAtPacket(packets, bytes.length)
      return ending.endsInError === expected
    },
  )
  fc.assert(property, { numRuns: 500 })
})

function endsAtPacket(packets: readonly string[], length: number): boolean {
  let at = 0
  for (const text of packets) {
    at += text === '' ? 4 : pktLine(text).length
    if (at === length) return true
  }
  return false
}
