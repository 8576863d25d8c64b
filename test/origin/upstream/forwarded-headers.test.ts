import t from 'tap'
import { forwardedHeaders } from '../../../src/origin/upstream/forwarded-headers.js'

const none = { more: new Set<string>(), isClients: true }

t.test('headers that describe a request are sent on, and repeated ones stay repeated', async (t) => {
  const headers = ['Accept', 'a/b', 'Content-Type', 'c/d', 'ACCEPT', 'e/f', 'Git-Protocol', 'version=2']
  t.same(forwardedHeaders({ headers, remoteAddress: undefined }, none), {
    accept: ['a/b', 'e/f'],
    'content-type': 'c/d',
    'git-protocol': 'version=2',
  })
})

t.test('headers that servers trust from a proxy are not', async (t) => {
  const names = [
    ...['Authorization', 'Cookie', 'Host', 'Expect', 'If-None-Match', 'Proxy-Authorization', 'Upgrade'],
    ...['X-Forwarded-For', 'X-Forwarded-User', 'X-Forwarded-Host', 'X-Real-IP', 'Forwarded', 'Via'],
    ...['Remote-User', 'Remote_User', 'X-Remote-User', 'X_Remote_User', 'X-WEBAUTH-USER', 'Sudo'],
    ...['X-Auth-Request-User', 'X-Original-URL', 'X-Rewrite-URL', 'X-HTTP-Method-Override', '__proto__'],
  ]
  const headers = names.flatMap((name) => [name, 'admin'])
  t.same(forwardedHeaders({ headers, remoteAddress: '192.0.2.1' }, none), { 'x-forwarded-for': '192.0.2.1' })
  const more = new Set(['x-trace'])
  t.same(
    forwardedHeaders({ headers: ['X-Trace', '1', ...headers], remoteAddress: undefined }, { ...none, more }),
    { 'x-trace': '1' },
  )
})

t.test('tokens of a client go only where its own credentials go', async (t) => {
  const request = { headers: ['Private-Token', 'a', 'Job-Token', 'b'], remoteAddress: undefined }
  t.same(forwardedHeaders(request, none), { 'private-token': 'a', 'job-token': 'b' })
  t.same(forwardedHeaders(request, { ...none, isClients: false }), {})
})

t.test('Connection takes away headers of the client, and not those that are added here', async (t) => {
  const headers = ['Connection', 'close, Accept,X-Forwarded-For', 'Accept', 'a/b', 'Pragma', 'c']
  t.same(forwardedHeaders({ headers, remoteAddress: '192.0.2.1' }, none), {
    pragma: 'c',
    'x-forwarded-for': '192.0.2.1',
  })
  const framed = ['Connection', 'Content-Length', 'Content-Length', '3']
  t.same(forwardedHeaders({ headers: framed, remoteAddress: undefined }, none), { 'content-length': '3' })
})
