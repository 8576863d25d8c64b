import t from 'tap'
import { EventEmitter } from 'node:events'
import type { Http2Server } from 'node:http2'
import { liftLongDeadlines } from '../../../src/grpc/transport/long-deadlines.js'

/** The deadline of a call as grpc-js sees it. */
function seen(timeout?: string): string | undefined {
  const server = new EventEmitter()
  const headers: Record<string, string> = timeout === undefined ? {} : { 'grpc-timeout': timeout }
  let deadline: string | undefined
  server.on('stream', (_stream, { 'grpc-timeout': value }: Record<string, string>) => (deadline = value))
  liftLongDeadlines(server as unknown as Http2Server)
  server.emit('stream', {}, headers)
  return deadline
}

t.test('deadlines that do not fit in 32 bits of milliseconds are removed', async (t) => {
  for (const timeout of ['600H', '99999999H', '99999999M', '2147484S', '99999999S']) {
    t.equal(seen(timeout), undefined, timeout)
  }
})

t.test('other deadlines stay', async (t) => {
  for (const timeout of ['1n', '0S', '59M', '596H', '2147483S', '99999999m', '99999999u']) {
    t.equal(seen(timeout), timeout)
  }
  t.equal(seen('nonsense'), 'nonsense')
  t.equal(seen(), undefined)
})
