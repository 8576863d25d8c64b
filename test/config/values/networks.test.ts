import t from 'tap'
import { blockListOf, isIn, namedNetworks, parseNetwork } from '../../../src/config/values/networks.js'

t.test('addresses and networks are parsed, anything else is not', async (t) => {
  for (const [text, address, bits] of [
    ['10.0.0.0/8', '10.0.0.0', 8],
    ['192.0.2.1', '192.0.2.1', 32],
    ['fd00::/8', 'fd00::', 8],
    ['::1', '::1', 128],
    ['::ffff:10.0.0.0/104', '10.0.0.0', 8],
    ['0.0.0.0/0', '0.0.0.0', 0],
  ] as const) {
    t.same(parseNetwork(text), { address, bits }, text)
  }
  for (const text of [
    '',
    'x',
    '10.0.0.0/33',
    '::/129',
    '10.0.0/8',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'fe80::1%eth0',
  ]) {
    t.equal(parseNetwork(text), undefined, text)
  }
})

t.test('networks with a name hold what is meant by it', async (t) => {
  const rows: [keyof typeof namedNetworks, yes: string[], no: string[]][] = [
    [
      'loopback',
      ['127.0.0.1', '127.9.9.9', '::1', '0.0.0.0', '::', '::ffff:127.0.0.1'],
      ['128.0.0.1', '10.0.0.1', '::2'],
    ],
    ['link-local', ['169.254.169.254', 'fe80::1', '::ffff:169.254.169.254'], ['169.253.0.1', 'fec0::1']],
    [
      'private',
      ['10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', 'fd12::1'],
      ['172.32.0.1', '192.169.0.1', '8.8.8.8', '2001:db8::1', '127.0.0.1'],
    ],
  ]
  for (const [name, yes, no] of rows) {
    const list = blockListOf(namedNetworks[name])
    for (const address of yes) t.ok(isIn(list, address), `${address} is ${name}`)
    for (const address of no) t.notOk(isIn(list, address), `${address} is not ${name}`)
  }
  t.notOk(isIn(blockListOf(namedNetworks.loopback), 'localhost'), 'a name is in none')
  t.ok(isIn(blockListOf([{ address: '::', bits: 0 }]), '2001:db8::1'))
})
