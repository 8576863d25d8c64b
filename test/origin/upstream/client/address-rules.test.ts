import t from 'tap'
import type { LookupAddress } from 'node:dns'
import { AddressRules, type Resolve } from '../../../../src/origin/upstream/client/address-rules.js'

t.test('named networks, addresses and networks are denied, in each form of an address', (t) => {
  const denied = (entries: string[], addresses: string[]) => {
    const rules = new AddressRules(entries)
    return addresses.filter((address) => rules.denies(address))
  }
  const loopback = ['127.0.0.1', '127.9.9.9', '0.0.0.0', '::1', '::', '::ffff:127.0.0.1', '::ffff:7f00:1']
  const linkLocal = ['169.254.169.254', 'fe80::1', 'fe80::1%eth0', '::ffff:169.254.1.1']
  const local = [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    'fc00::1',
    'fdff::1',
  ]
  const others = ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2001:db8::1', '::ffff:8.8.8.8', 'host', '']
  const all = [...loopback, ...linkLocal, ...local, ...others]
  t.same(denied(['loopback'], all), loopback)
  t.same(denied(['link-local'], all), linkLocal)
  t.same(denied(['private'], all), local)
  t.same(denied(['8.8.8.8', '2001:db8::/32'], all), ['8.8.8.8', '2001:db8::1', '::ffff:8.8.8.8'])
  t.same(denied([], all), [])
  t.end()
})

t.test('an entry that is no network is refused by name', (t) => {
  for (const entry of [
    '',
    'local',
    '10.0.0.0/33',
    '10.0.0/8',
    '10.0.0.0/',
    '10.0.0.0/a',
    '10.0.0.0/8/8',
    '::/129',
  ])
    t.throws(() => new AddressRules([entry]), {
      name: 'RangeError',
      message: new RegExp(`^${entry} is neither`),
    })
  t.end()
})

t.test('a lookup leaves out denied addresses, and fails if none is left', (t) => {
  const addresses: LookupAddress[] = [
    { address: '10.0.0.1', family: 4 },
    { address: '::ffff:10.0.0.2', family: 6 },
    { address: '8.8.8.8', family: 4 },
  ]
  const resolving =
    (found: LookupAddress[]): Resolve =>
    (_host, _options, callback) =>
      callback(null, found)
  const rules = new AddressRules(['private'])
  const results: unknown[] = []
  rules.lookup(resolving(addresses))('git.test', { all: true }, (...all) => results.push(all))
  rules.lookup(resolving(addresses))('git.test', {}, (...all) => results.push(all))
  rules.lookup(resolving(addresses.slice(0, 2)))('git.test', {}, (error) => results.push(error?.message))
  rules.lookup((_host, _options, callback) => callback(new Error('ENOTFOUND'), []))('git.test', {}, (error) =>
    results.push(error?.message),
  )
  t.same(results, [
    [null, [addresses[2]]],
    [null, '8.8.8.8', 4],
    'git.test resolves to 10.0.0.1, to which connections are denied (upstream-deny)',
    'ENOTFOUND',
  ])
  t.end()
})
