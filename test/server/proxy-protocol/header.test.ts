import t from 'tap'
import fc from 'fast-check'
import {
  BadProxyHeader,
  parseProxyHeader,
  type ProxyHeader,
} from '../../../src/server/proxy-protocol/header.js'
import { header1, header2, rawHeader2 } from '../../support/proxy-header.js'

/** Parses bytes, or returns `bad` for a BadProxyHeader. */
function parse(bytes: Buffer | string): ProxyHeader | 'bad' | undefined {
  try {
    return parseProxyHeader(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  } catch (error) {
    if (error instanceof BadProxyHeader) return 'bad'
    throw error
  }
}

const tlvs = Buffer.concat([Buffer.from([0x04, 0, 200]), Buffer.alloc(200, 1), Buffer.from([0x02, 0, 1, 65])])
const four = Buffer.from([192, 0, 2, 7, 127, 0, 0, 1, 0, 80, 1, 187])

const sound: [string, Buffer | string, string | undefined][] = [
  ['v1 TCP4', header1('192.0.2.7'), '192.0.2.7'],
  ['v1 TCP6', header1('2001:DB8:0:0::7'), '2001:db8::7'],
  ['v1 IPv4 in IPv6', header1('::ffff:192.0.2.7'), '192.0.2.7'],
  ['v1 UNKNOWN', 'PROXY UNKNOWN\r\n', undefined],
  ['v1 UNKNOWN with more', 'PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n', undefined],
  ['v2 TCP4', header2('192.0.2.7'), '192.0.2.7'],
  ['v2 TCP6', header2('2001:db8::7'), '2001:db8::7'],
  ['v2 with extensions', header2('192.0.2.7', tlvs), '192.0.2.7'],
  ['v2 IPv6 with extensions', header2('2001:db8::7', tlvs), '2001:db8::7'],
  ['v2 LOCAL', rawHeader2(0x20, 0, Buffer.alloc(0)), undefined],
  ['v2 LOCAL with addresses', rawHeader2(0x20, 0x11, four), undefined],
  ['v2 LOCAL with extensions', rawHeader2(0x20, 0, tlvs), undefined],
  ['v2 without a family', rawHeader2(0x21, 0, Buffer.alloc(0)), undefined],
  ['v2 of a Unix socket', rawHeader2(0x21, 0x31, Buffer.alloc(216, 97)), undefined],
  ['v2 of a datagram', rawHeader2(0x21, 0x12, four), undefined],
]
const bad: [string, Buffer | string][] = [
  ['a request', 'GET / HTTP/1.1\r\n'],
  ['a TLS handshake', '\x16\x03\x01\x02\x00'],
  ['lower case', 'proxy TCP4 192.0.2.7 127.0.0.1 1 2\r\n'],
  ['v1 UDP', 'PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n'],
  ['v1 without CR', 'PROXY TCP4 192.0.2.7 127.0.0.1 1 2\n'],
  ['v1 with two spaces', 'PROXY TCP4  192.0.2.7 127.0.0.1 1 2\r\n'],
  ['v1 with a name', 'PROXY TCP4 localhost 127.0.0.1 1 2\r\n'],
  ['v1 with another family', 'PROXY TCP4 ::1 ::1 1 2\r\n'],
  ['v1 with a zone', 'PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n'],
  ['v1 with a port out of range', 'PROXY TCP4 192.0.2.7 127.0.0.1 65536 2\r\n'],
  ['v1 with a leading zero', 'PROXY TCP4 192.0.2.7 127.0.0.1 01 2\r\n'],
  ['v1 without ports', 'PROXY TCP4 192.0.2.7 127.0.0.1\r\n'],
  ['v1 of nothing', 'PROXY \r\n'],
  ['v1 of 108 bytes', `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`],
  ['v1 without an end', `PROXY UNKNOWN ${'x'.repeat(100)}`],
  ['v2 of another version', rawHeader2(0x31, 0x11, four)],
  ['v2 of another command', rawHeader2(0x22, 0x11, four)],
  ['v2 of another family', rawHeader2(0x21, 0x41, four)],
  ['v2 of another transport', rawHeader2(0x21, 0x13, four)],
  ['v2 without room for addresses', rawHeader2(0x21, 0x11, four.subarray(1))],
  ['v2 IPv6 without room for addresses', rawHeader2(0x21, 0x21, Buffer.alloc(35))],
  ['v2 that is too long', rawHeader2(0x21, 0x11, Buffer.alloc(0), 4081)],
]

for (const [name, header, source] of sound) {
  t.test(name, async (t) => {
    const bytes = Buffer.from(header as Buffer)
    const expected = { length: bytes.length, source }
    t.same(parse(bytes), expected)
    t.same(parse(Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1\r\n')])), expected, 'before a request')
    for (let length = 0; length < bytes.length; length++)
      if (parse(bytes.subarray(0, length)) !== undefined) t.fail(`decided after ${length} bytes`)
  })
}

t.test('what is not a header is rejected', async (t) => {
  for (const [name, bytes] of bad) t.equal(parse(bytes), 'bad', name)
  t.match(parse(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`), { length: 107 }, 'the longest of version 1')
  t.match(parse(rawHeader2(0x21, 0x11, Buffer.concat([four, Buffer.alloc(4068)]))), { length: 4096 })
})

t.test('any bytes are decided within 4096, and no more bytes change the decision', async () => {
  const headers = [...sound, ...bad].map(([, bytes]) => Buffer.from(bytes as Buffer))
  const damaged = fc
    .record({
      header: fc.constantFrom(...headers),
      at: fc.nat(300),
      byte: fc.nat(255),
      rest: fc.uint8Array({ maxLength: 64 }),
    })
    .map(({ header, at, byte, rest }) => {
      const bytes = Buffer.concat([header, rest])
      if (at < bytes.length) bytes[at] = byte
      return bytes
    })
  const any = fc.oneof(
    damaged,
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  )
  fc.assert(
    fc.property(any, fc.nat(300), (bytes, cut) => {
      const [early, whole] = [parse(bytes.subarray(0, cut)), parse(bytes)]
      if (whole !== undefined && whole !== 'bad' && whole.length > bytes.length) return false
      if (parse(Buffer.concat([bytes, Buffer.alloc(4096)])) === undefined) return false
      return early === undefined || JSON.stringify(early) === JSON.stringify(whole)
    }),
    { numRuns: 5000 },
  )
})

t.test('addresses of both versions survive', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      const [one, two] = [parse(header1(address)), parse(header2(address))]
      if (typeof one !== 'object' || typeof two !== 'object') return false
      return one.source !== undefined && one.source === two.source
    }),
    { numRuns: 1000 },
  )
})
