import t from 'tap'
import type { IncomingMessage } from 'node:http'
import { Hosts } from '../../src/admin/hosts.js'

const refused = (
  hosts: Hosts,
  host: string[] | undefined,
  socket: object = { localAddress: '127.0.0.1' },
): boolean =>
  hosts.rejection({ socket, headersDistinct: { host } } as unknown as IncomingMessage) !== undefined

t.test('hosts accepted on loopback addresses', async (t) => {
  const hosts = new Hosts(['Admin.Example.com', 'box'])
  const good = [
    ...[
      'localhost',
      'localhost:8081',
      'LOCALHOST.',
      'x.localhost:1',
      '127.0.0.1',
      '127.8.9.1:80',
      '[::1]',
      '[::1]:8081',
    ],
    ...['::1', '10.0.0.1:8081', 'admin.example.com:8081', 'ADMIN.EXAMPLE.COM.', 'box'],
  ]
  for (const host of good) t.notOk(refused(hosts, [host]), host)
  const bad = [
    ...[
      '',
      ':80',
      'evil.example',
      'evil.example:8081',
      'localhost.evil.example',
      'xlocalhost',
      'localhost@evil.example',
    ],
    ...[
      '127.0.0.1.evil.example',
      'example.com',
      'x.box',
      '[::1',
      '[]',
      '[evil.example]',
      'localhost:80:80',
      '0x7f.1',
    ],
    ...['localhost evil', 'evil.example,localhost'],
  ]
  for (const host of bad) t.ok(refused(hosts, [host]), `not ${host}`)
  t.ok(refused(hosts, ['localhost', 'evil.example']), 'two')
  t.notOk(refused(hosts, undefined), 'HTTP/1.0 needs none, and no browser leaves it out')
})

t.test('every host is accepted where DNS rebinding cannot reach', async (t) => {
  const hosts = new Hosts([])
  const name = ['evil.example']
  for (const localAddress of ['127.0.0.1', '127.3.3.3', '::1', '::ffff:127.0.0.1'])
    t.ok(refused(hosts, name, { localAddress }), localAddress)
  for (const socket of [{}, { localAddress: '10.0.0.1' }, { localAddress: '127.0.0.1', encrypted: true }])
    t.notOk(refused(hosts, name, socket), JSON.stringify(socket))
})
