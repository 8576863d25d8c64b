import t from 'tap'
import {
  distinct,
  headBytes,
  rawHeadersOf,
  requestHeaders,
  responseFields,
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
