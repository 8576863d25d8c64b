import t from 'tap'
import { isLocal, urlOf } from '../../../src/config/values/addresses.js'

t.test('loopback addresses and Unix sockets are local, other names and addresses are not', async (t) => {
  for (const host of ['127.9.9.9', '::1', 'localhost', '::ffff:127.0.0.1'])
    t.ok(isLocal({ host, port: 1 }), host)
  for (const host of ['0.0.0.0', '::', '128.0.0.1', 'localhost.example', ''])
    t.notOk(isLocal({ host, port: 1 }), host)
  t.ok(isLocal({ path: '/s' }))
})

t.test('URLs of addresses', async (t) => {
  t.equal(urlOf({ host: '127.0.0.1', port: 80 }), 'http://127.0.0.1:80')
  t.equal(urlOf({ host: '::1', port: 80, tls: true }), 'https://[::1]:80')
  t.equal(urlOf({ path: '/run/s' }), 'unix:/run/s')
})
