import t from 'tap'
import { once } from 'node:events'
import { constants } from 'node:http2'
import { Readable } from 'node:stream'
import { eventually } from '../../support/eventually.js'
import {
  data,
  endHeaders,
  endStream,
  framesOf,
  headers,
  ping,
  preface,
  settings,
  type Fields,
} from '../../support/http2-frames.js'
import { openHttp2 } from '../../support/http2-server.js'

const { NGHTTP2_PROTOCOL_ERROR } = constants
const fields: Fields = [
  [':method', 'GET'],
  [':path', '/r.git/HEAD'],
  [':scheme', 'https'],
  [':authority', 'localhost'],
]

/** These fields, with other values, without those that are undefined, and with more. */
function but(changes: Record<string, string | undefined>, ...more: Fields): Fields {
  const kept = fields.map(([name, value]) => [name, name in changes ? changes[name] : value] as const)
  return [...kept.filter((field): field is [string, string] => field[1] !== undefined), ...more]
}
const post = { ':method': 'POST', ':path': '/r.git/git-receive-pack' }

/** What is sent, and what of a request passes to Git, if any does. */
const cases: Record<string, readonly [frames: readonly Buffer[], passed?: string]> = {
  'the path *': [[headers(but({ ':path': '*' }))]],
  'an absolute URL as path': [[headers(but({ ':path': 'https://localhost/r.git/HEAD' }))]],
  'an empty path': [[headers(but({ ':path': '' }))]],
  'no path': [[headers(but({ ':path': undefined }))]],
  'a space in a path': [[headers(but({ ':path': '/r .git/HEAD' }))]],
  'no scheme': [[headers(but({ ':scheme': undefined }))]],
  'no authority and no Host': [[headers(but({ ':authority': undefined }))]],
  'an empty authority': [[headers(but({ ':authority': '' }, ['host', 'localhost']))]],
  'two authorities': [[headers(but({}, [':authority', 'b']))]],
  'two hosts': [[headers(but({}, ['host', 'a'], ['host', 'b']))]],
  'another pseudo-header field': [[headers(but({}, [':x', 'b']))]],
  'extended CONNECT': [[headers(but({ ':method': 'CONNECT' }, [':protocol', 'websocket']), endHeaders)]],
  'upper case': [[headers(but({}, ['X-A', '1']))]],
  Connection: [[headers(but({}, ['connection', 'close']))]],
  'Transfer-Encoding': [[headers(but({}, ['transfer-encoding', 'chunked']))]],
  'TE: gzip': [[headers(but({}, ['te', 'gzip']))]],
  'two lengths': [
    [
      headers(but(post, ['content-length', '4'], ['content-length', '4']), endHeaders),
      data('0000', endStream),
    ],
  ],
  'a body that is too short': [
    [headers(but(post, ['content-length', '9']), endHeaders), data('0000', endStream)],
  ],
  'a body that is too long': [
    [headers(but(post, ['content-length', '2']), endHeaders), data('0000', endStream)],
  ],
  'trailers that do not end the request': [
    [headers(but(post), endHeaders), data('0000'), headers([['x-t', '1']], endHeaders)],
  ],
  'Host instead of an authority': [
    [headers(but({ ':authority': undefined }, ['host', 'a']))],
    'GET /r.git/HEAD host: a',
  ],
  'another Host': [[headers(but({}, ['host', 'a']))], 'GET /r.git/HEAD host: localhost'],
  'line feeds and NUL in a header': [
    [headers(but({}, ['x-a', '1\r\nx-b: 2'], ['x-c', '\0'], ['x d', '1'], ['', '1']))],
    'GET /r.git/HEAD host: localhost',
  ],
  'TE: trailers, and trailers': [
    [headers(but(post, ['te', 'trailers']), endHeaders), data('0000'), headers([['x-t', '1']])],
    'POST /r.git/git-receive-pack host: localhost te: trailers 0000',
  ],
  'a GET with a body': [
    [headers(fields, endHeaders), data('0000', endStream)],
    'GET /r.git/HEAD host: localhost 0000',
  ],
}

for (const [name, [frames, expected]] of Object.entries(cases)) {
  t.test(`${name}: ${expected === undefined ? 'the stream is reset alone' : 'it passes'}`, async (t) => {
    const passed: string[] = []
    const { openSocket } = await openHttp2(t, async ({ method, uri, headers, body }) => {
      const bytes = Buffer.concat([body.beginning, ...((await body.rest.toArray()) as Buffer[])])
      const shown = headers.map((each, index) => (index % 2 === 0 ? `${each}:` : each))
      passed.push([method, uri, ...shown, bytes.toString()].join(' ').trim())
      return { body: Readable.from([Buffer.from('x')]) }
    })
    const socket = openSocket()
    const seen = framesOf(socket)
    const further = headers(but({ ':path': '/further.git/HEAD' }), endStream | endHeaders, 3)
    socket.write(Buffer.concat([preface(), ...frames, further]))
    const ended = (stream: number) =>
      seen.find((frame) => frame.stream === stream && (frame.type === 'reset' || frame.flags & endStream))
    await eventually('both have ended', () => Boolean(ended(1) && ended(3)))
    t.equal(ended(3)?.type === 'reset', false, 'the connection goes on')
    t.same(
      passed.filter((each) => !each.includes('/further.git')),
      expected === undefined ? [] : [expected],
    )
    if (expected !== undefined) return
    t.equal(ended(1)?.type, 'reset')
    t.equal(ended(1)?.payload.readUInt32BE(), NGHTTP2_PROTOCOL_ERROR)
  })
}

const silent: Record<string, readonly Buffer[]> = {
  'only pings': [preface(), ping()],
  'a head that does not end': [preface(), headers(fields, endStream)],
  'a malformed frame': [preface(), data('x')],
  'half a preface': [preface().subarray(0, 10)],
}
for (const [name, chunks] of Object.entries(silent)) {
  t.test(`a connection that has no request is closed: ${name}`, async (t) => {
    const { openSocket, sockets } = await openHttp2(t, () => ({}), { requestIdleMs: 200 })
    const socket = openSocket()
    socket.resume()
    const closed = once(socket, 'close')
    for (const chunk of chunks) socket.write(chunk)
    await closed
    await eventually('it is closed here too', () => sockets.every(({ destroyed }) => destroyed))
  })
}

t.test('a client that sends settings without an end is disconnected', async (t) => {
  const { openSocket, sockets } = await openHttp2(t, () => ({}))
  const socket = openSocket()
  socket.write(preface())
  const many = Buffer.concat(Array.from({ length: 5000 }, settings))
  await eventually('it is closed', () => {
    if (socket.writableLength === 0) socket.write(many)
    return sockets[0]?.destroyed === true
  })
})
