import { readFileSync } from 'node:fs'
import t from 'tap'
import { Authority } from '../../../../support/certificates.js'
import { eventually } from '../../../../support/eventually.js'
import { etcdAddress, openEngine, skipEtcd, startEtcd, watches } from '../../../../support/fleet/etcd.js'

t.test('TLS, with certificates on both sides', { skip: skipEtcd }, async (t) => {
  const [authority, stranger] = [new Authority(t), new Authority(t)]
  const own = authority.issue({ san: 'IP:127.0.0.1,DNS:localhost' })
  const server = await startEtcd(t, { ...own, ca: authority.cert })
  const address = etcdAddress([server], { tls: true })
  const [ca, other] = [readFileSync(authority.cert), readFileSync(stranger.cert)]
  const [cert, key] = [readFileSync(own.cert), readFileSync(own.key)]
  const warnings: Error[] = []
  const warn = (warning: Error): void => void warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))

  for (const host of ['127.0.0.1', 'localhost']) {
    const hosts = [{ host, port: server.port }]
    const engine = openEngine(t, { address: { ...address, hosts }, tls: { ca, cert, key } })
    t.match(await engine.epochs(['r']), [{ open: 0 }])
    await watches(engine)
  }
  t.same(warnings, [])
  const distrusting = openEngine(t, { address, tls: { ca: other, cert, key } })
  await t.rejects(distrusting.epochs(['r']), { code: 14, message: /certificate/ })
  const nameless = openEngine(t, { address, tls: { ca } })
  await t.rejects(nameless.epochs(['r']), { name: 'EtcdError' })
  const plain = openEngine(t, { address: { ...address, tls: false } })
  await t.rejects(plain.epochs(['r']), { name: 'EtcdError' })
})

t.test('the certificate must be for the host', { skip: skipEtcd }, async (t) => {
  const authority = new Authority(t)
  const own = authority.issue({ san: 'IP:127.0.0.2,DNS:other' })
  const server = await startEtcd(t, { ...own, ca: authority.cert })
  const tls = { ca: readFileSync(authority.cert), cert: readFileSync(own.cert), key: readFileSync(own.key) }
  for (const host of ['127.0.0.1', 'localhost']) {
    const address = etcdAddress([server], { tls: true, hosts: [{ host, port: server.port }] })
    await t.rejects(openEngine(t, { address, tls }).epochs(['r']), { message: /altnames/ }, host)
  }
})

t.test('a user with a password', { skip: skipEtcd }, async (t) => {
  const server = await startEtcd(t)
  const commands = [
    'user add root:secret',
    'user grant-role root root',
    'role add fleet',
    'role grant-permission fleet --prefix=true readwrite test/',
    'user add node:p:w',
    'user grant-role node fleet',
  ]
  for (const command of commands) server.control(...command.split(' '))
  const withUser = etcdAddress([server], { username: 'node', password: 'p:w' })

  const engine = openEngine(t, { address: withUser })
  await engine.change('r')
  t.pass('users may not be switched on yet')
  server.control('auth', 'enable')
  await eventually('a token is fetched', () =>
    engine.change('r').then(
      () => true,
      () => false,
    ),
  )
  await watches(engine)
  t.match(await engine.claim({ repository: 'r', key: 'k', state: 's', node: 'a', ttlMs: 5000 }), {
    kind: 'granted',
  })
  await engine.leave('a')
  t.pass('the role suffices')

  const nobody = openEngine(t, { address: etcdAddress([server]) })
  await t.rejects(nobody.change('r'), { message: /give USER:PASSWORD@ in --fleet/ })
  const wrong = openEngine(t, { address: { ...withUser, password: 'x' } })
  await t.rejects(wrong.change('r'), { message: /correct the user and the password/ })
  const elsewhere = openEngine(t, { address: withUser, fleet: 'test2' })
  await t.rejects(elsewhere.change('r'), { message: /grant its user readwrite/ })

  // The tokens that it has given are forgotten by an etcd that starts anew.
  await server.kill()
  await server.start()
  await eventually('a new token is fetched', () =>
    engine.change('r').then(
      () => true,
      (error: unknown) => {
        if (!/ECONNREFUSED|No connection/.test((error as Error).message)) throw error
        return false
      },
    ),
  )
  await watches(engine)
})
