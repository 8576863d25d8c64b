import t from 'tap'
import fc from 'fast-check'
import { AnswerEnding } from '../../../src/git/protocol/answer-ending.js'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'

function endingOf(...chunks: (Buffer | string)[]): AnswerEnding {
  const ending = new AnswerEnding()
  for (const chunk of chunks) ending.push(Buffer.from(chunk as string, 'latin1'))
  return ending
}

const endsInError = (...chunks: (Buffer | string)[]): boolean => endingOf(...chunks).endsInError

function endsInFlush(...chunks: (Buffer | string)[]): boolean {
  const ending = endingOf(...chunks)
  ending.requirePackets()
  return ending.endsInFlush
}

t.test('whether an answer begins with an error message is known after eight bytes at most', async (t) => {
  const begins = (...chunks: (Buffer | string)[]): boolean | undefined => endingOf(...chunks).beginsWithError
  t.equal(begins(), undefined)
  t.equal(begins('0009ER'), undefined)
  t.equal(begins('0009ERR '), true, 'before the rest of it')
  t.equal(begins('0009ERRO'), false)
  t.equal(begins('0006\x03'), undefined)
  t.equal(begins('0006\x03n'), true)
  t.equal(begins('0005\x03'), true)
  t.equal(begins('0006ER'), false, 'the whole packet')
  t.equal(begins('0000', pktLine('ERR no')), false, 'a flush packet before it')
  t.equal(begins(pktLine('NAK\n'), pktLine('ERR no')), false, 'another packet before it')
  t.equal(begins(pktLine('ERR no'), pktLine('NAK\n')), true, 'another packet after it')
})

t.test('an error message is noticed anywhere in an answer', async (t) => {
  t.ok(endingOf(pktLine('\x03no'), pktLine('\x01PACK'), '0000').hasError)
  t.ok(endingOf(pktLine('NAK\n'), pktLine('ERR no'), pktLine('NAK\n')).hasError)
  t.notOk(endingOf(pktLine('NAK\n'), pktLine('\x02\x03'), pktLine('\x01ERR '), '0000').hasError)
  t.notOk(endingOf(pktLine(`x\x03ERR `), '0000').hasError)
})

t.test('an answer ends in a packet if nothing of it is missing', async (t) => {
  t.ok(endingOf().endsInPacket, 'an empty answer too')
  t.ok(endingOf('0000').endsInPacket)
  t.ok(endingOf(pktLine('NAK\n')).endsInPacket)
  t.notOk(endingOf('00').endsInPacket)
  t.notOk(endingOf('0008NAK').endsInPacket)
})

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
      const ending = new AnswerEnding()
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

t.test('four bytes that are not a length are an error where packets are required', async (t) => {
  for (const garbage of ['fatal: no', 'HTTP', '00 4', '-001', '\0\0\0\0', '0x04', '0006hizzzz']) {
    const ending = endingOf(garbage)
    t.throws(() => ending.requirePackets(), /not a pkt-line length/, garbage)
    t.notOk(ending.endsInPacket || ending.endsInFlush || ending.endsInError, garbage)
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
