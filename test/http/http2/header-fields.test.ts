import t from 'tap'
import {
  distinct,
  headBytes,
  rawHeadersOf,
  requestHeaders,
  responseFields,
  withGiven,
} from '../../../src/http/http2/header-fields.js'

t.test('the fields of a response are those of HTTP/1, without what describes a connection', async (t) => {
  const headers = ['Content-Type', 'a/b', 'Vary', 'A', 'vary', 'B', 'Connection', 'close', 'Age', 5]
  const dropped = ['Keep-Alive', 'x', 'Transfer-Encoding', 'chunked', 'Upgrade', 'x', 'Proxy-Connection', 'x']
  t.same(responseFields(200, [...headers, ...dropped]), {
    ':status': 200,
    'content-type': 'a/b',
    vary: ['A', 'B'],
    age: '5',
  })
})

t.test('fields that Node takes once may be repeated by an upstream', async (t) => {
  const names = ['X-Content-Type-Options', 'ETag', 'Content-Type', 'Retry-After', 'Location', 'Set-Cookie']
  const repeated = responseFields(
    200,
    names.flatMap((name) => [name, '1', name, '2']),
  )
  t.same(repeated, {
    ':status': 200,
    ...{ 'x-content-type-options': '1', etag: '1', 'content-type': '1', 'retry-after': '1', location: '1' },
    'set-cookie': ['1', '2'],
  })
  const encodings = responseFields(200, ['Content-Encoding', 'br', 'content-encoding', 'gzip'])
  t.equal(encodings['content-encoding'], 'br, gzip')
})

t.test('headers that are given replace those that were set, as in HTTP/1', async (t) => {
  t.same(withGiven(['X-Id', '1', 'B', '2'], ['x-id', '3', 'X-Id', '4']), ['B', '2', 'x-id', '3', 'X-Id', '4'])
  t.same(withGiven([], ['A', '1']), ['A', '1'])
})

t.test('a header that HTTP does not allow is refused', async (t) => {
  t.throws(() => responseFields(200, ['X-A', 'a\r\nb: c']), { code: 'ERR_INVALID_CHAR' })
  t.throws(() => responseFields(200, ['X A', 'a']), { code: 'ERR_INVALID_HTTP_TOKEN' })
  t.throws(() => responseFields(200, [':status', '100']), { code: 'ERR_INVALID_HTTP_TOKEN' })
})

t.test('a request has its pseudo-header fields as HTTP/1 has them', async (t) => {
  const head = { ':method': 'GET', ':path': '/a', ':authority': 'x', ':scheme': 'https', host: 'y', a: '1' }
  t.same(requestHeaders({ ...head }), { method: 'GET', url: '/a', headers: { host: 'x', a: '1' } })
  t.same(requestHeaders({ ':method': 'CONNECT', host: 'y' }), {
    ...{ method: 'CONNECT', url: '' },
    headers: { host: 'y' },
  })
})

t.test('raw headers have one host and one cookie field', async (t) => {
  const fields = [':method', 'GET', 'a', '1', 'cookie', 'b=1', 'host', 'y', 'a', '2', 'cookie', 'c=2']
  t.same(rawHeadersOf(fields), ['a', '1', 'host', 'y', 'a', '2', 'cookie', 'b=1; c=2'])
  t.same(rawHeadersOf([...fields, ':authority', 'x']), [
    'host',
    'x',
    'a',
    '1',
    'a',
    '2',
    'cookie',
    'b=1; c=2',
  ])
  t.same({ ...distinct(['a', '1', 'a', '2', 'b', '3']) }, { a: ['1', '2'], b: ['3'] })
  t.equal(headBytes(['a', '12']), 7)
})
