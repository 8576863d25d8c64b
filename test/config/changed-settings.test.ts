import t from 'tap'
import { changedSettings } from '../../src/config/changed-settings.js'
import { readFlags, resolveSettings } from '../../src/config/settings.js'

const changed = (flags: Readonly<Record<string, unknown>>) =>
  changedSettings(resolveSettings(readFlags({ root: '/srv/git', ...flags })))

t.test('only what differs from the defaults is shown', async (t) => {
  t.same(changed({}), { root: '/srv/git' })
  t.same(changed({ queueMax: '7', etag: true }), { root: '/srv/git', 'queue-max': 7, etag: true })
  t.same(changed({ logLevel: 'info' }), { root: '/srv/git' }, 'a default that was given is a default')
})

t.test('addresses are shown as settings take them', async (t) => {
  for (const address of ['127.0.0.1:9000', '[::1]:8443', 'unix:/run/refstream.sock', '0.0.0.0:9090'])
    t.equal(changed({ listen: address })['listen'], address)
  const tls = { listen: 'tls:0.0.0.0:8443', tlsCert: '/c.pem', tlsKey: '/k.pem' }
  t.equal(changed(tls)['listen'], tls.listen)
})

t.test('no secret is shown', async (t) => {
  const shown = JSON.stringify(
    changed({
      authUrl: 'https://auth.example/check?key=hidden-1',
      ...{ fleet: 'redis://someone:hidden-2@10.0.0.1:6379', fleetNode: 'a', fleetSecretFile: '/secret' },
      ...{ fleetMembers: 'a=http://10.0.0.1:8090', peer: '127.0.0.1:8090' },
    }),
  )
  t.notMatch(shown, /hidden/)
  t.match(shown, /https:\/\/auth\.example\/check/)
  t.match(shown, /10\.0\.0\.1/)
})
