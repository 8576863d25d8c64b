import t from 'tap'
import type { Http2Session, ServerHttp2Stream } from 'node:http2'
import {
  IncomingLedger,
  windowBytes,
  type IncomingCall,
} from '../../../src/grpc/transport/incoming-ledger.js'

const connectionFrom = (remoteAddress: string): Http2Session =>
  ({ socket: { remoteAddress } }) as unknown as Http2Session

/** A ledger in which a connection's messages may have 100 bytes, and each call weighs 10. */
function openLedger() {
  const ledger = new IncomingLedger(100)
  const open = (session: Http2Session): IncomingCall =>
    ledger.open({} as unknown as ServerHttp2Stream, session, 10)
  return { ledger, open }
}

t.test('what calls hold is given back when they end', async (t) => {
  const { ledger, open } = openLedger()
  const session = connectionFrom('192.0.2.1')
  const [first, second] = [open(session), open(session)]
  ledger.received(first, 50)
  t.equal(ledger.weight, 70)
  ledger.close(first)
  t.equal(ledger.weight, 10)
  ledger.close(second)
  t.equal(ledger.weight, 0)
  t.equal(ledger.longestSilentOfHeaviestClient(), undefined)
})

t.test('beyond the limit of a connection, only its first call is read', async (t) => {
  const { ledger, open } = openLedger()
  const session = connectionFrom('192.0.2.1')
  const [first, second, third] = [open(session), open(session), open(session)]
  t.equal(ledger.received(first, 60), false)
  t.equal(ledger.received(second, 40), false, 'the limit itself is allowed')
  t.equal(ledger.received(third, 1), true)
  t.equal(ledger.isPaused(third), true)
  t.equal(ledger.received(third, 1), false, 'it is paused already')
  t.equal(ledger.received(second, 1), true)
  t.equal(ledger.received(first, 1000), false)
  t.equal(ledger.weight, 30 + 1103 + 2 * windowBytes, 'what a paused client may still send counts')
  const other = open(connectionFrom('192.0.2.1'))
  t.equal(ledger.received(other, 90), false, 'another connection is not delayed')
  ledger.close(other)
  t.same(ledger.close(first), [third, second], 'those are read on for which there is room now')
  t.equal(ledger.isPaused(second), false)
  t.equal(ledger.weight, 20 + 43)
})

t.test('a call becomes the first one when those before it have ended', async (t) => {
  const { ledger, open } = openLedger()
  const session = connectionFrom('192.0.2.1')
  const [first, second, third] = [open(session), open(session), open(session)]
  ledger.received(second, 150)
  ledger.received(third, 150)
  t.same(
    [second, third].map((call) => ledger.isPaused(call)),
    [true, true],
  )
  t.same(ledger.close(first), [second], 'the third is still too much')
  t.same(ledger.close(second), [third])
})

t.test('of the client that holds most, the call that has been silent longest is found', async (t) => {
  const { ledger, open } = openLedger()
  const light = open(connectionFrom('192.0.2.1'))
  ledger.received(light, 30)
  const session = connectionFrom('2001:db8::1')
  const heavy = [open(session), open(connectionFrom('2001:db8::2')), open(session)] as const
  t.equal(ledger.longestSilentOfHeaviestClient(), light)
  ledger.received(heavy[1], 10)
  ledger.received(heavy[0], 10)
  t.equal(ledger.longestSilentOfHeaviestClient(), heavy[2], 'addresses of one site are one client')
  ledger.received(heavy[2], 1)
  t.equal(ledger.longestSilentOfHeaviestClient(), heavy[1])
})
