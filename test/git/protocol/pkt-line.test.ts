import t from 'tap'
import fc from 'fast-check'
import { flushPacket, pktLine, PktLineFraming } from '../../../src/git/protocol/pkt-line.js'

const endsInFlush = (...chunks: (string | Buffer)[]): boolean => {
  const framing = new PktLineFraming()
  for (const chunk of chunks) framing.push(Buffer.from(chunk))
  return framing.endsInFlush
}

t.test('a length counts its own four digits, in bytes', async (t) => {
  t.equal(pktLine('# service=git-upload-pack\n').toString(), '001e# service=git-upload-pack\n')
  t.equal(pktLine('é').toString('latin1').slice(0, 4), '0006')
  t.equal(pktLine('').toString(), '0004')
})

t.test('only a whole flush packet at the end is an end', async (t) => {
  t.equal(endsInFlush('0000'), true)
  t.equal(endsInFlush('0006hi0000'), true)
  t.equal(endsInFlush('0006hi', '00', '00'), true)
  t.equal(endsInFlush(), false, 'nothing at all')
  t.equal(endsInFlush('0006hi'), false, 'no flush')
  t.equal(endsInFlush('00000006hi'), false, 'a flush, but not at the end')
  t.equal(endsInFlush('0006hi000'), false, 'three quarters of a flush')
  t.equal(endsInFlush('000000'), false, 'the beginning of one more length')
  t.equal(endsInFlush('00080000'), false, 'a payload that looks like a flush')
  t.equal(endsInFlush('0001'), false, 'a delimiter')
  t.equal(endsInFlush('0002'), false, 'a response end')
  t.equal(endsInFlush('0006hi0004', '0000'), true, 'an empty line before it')
})

t.test('four bytes that are not a length are an error', async (t) => {
  for (const garbage of ['fatal: no', 'HTTP', '00 4', '-001', '\0\0\0\0', '0x04', '0006hizzzz']) {
    t.throws(() => endsInFlush(garbage), /not a pkt-line length/, garbage)
  }
})

t.test('framing does not depend on how a stream is cut into chunks', async (t) => {
  // Random packets in random chunks: the state after each byte is that of the whole prefix.
  const packet = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => pktLine(Buffer.from(bytes).toString('latin1'))),
    fc.constantFrom('0000', '0001', '0002', '000C12345678').map((text) => Buffer.from(text)),
  )
  const stream = fc.array(packet, { maxLength: 12 }).map((packets) => ({
    bytes: Buffer.concat(packets),
    flushed: packets.at(-1)?.equals(flushPacket) ?? false,
  }))
  fc.assert(
    fc.property(stream, fc.array(fc.nat({ max: 30 })), ({ bytes, flushed }, sizes) => {
      const chunks: Buffer[] = []
      let rest = bytes
      for (const size of sizes) {
        chunks.push(rest.subarray(0, size))
        rest = rest.subarray(size)
      }
      return endsInFlush(...chunks, rest) === flushed
    }),
  )
  t.pass()
})
