import t from 'tap'
import fc from 'fast-check'
import { clientGroup } from '../../../src/limits/admission/client-group.js'

t.test('an IPv4 address is one group, however it is written', async (t) => {
  t.equal(clientGroup('10.0.0.1'), '10.0.0.1')
  t.equal(clientGroup('::ffff:10.0.0.1'), '10.0.0.1')
  t.equal(clientGroup('::FFFF:10.0.0.1'), '10.0.0.1')
  t.equal(clientGroup(''), '', 'the address of a closed connection')
  t.equal(clientGroup('unix:'), 'unix:')
})

t.test('the first 64 bits of an IPv6 address are one group, however they are written', async (t) => {
  const same: Record<string, string[]> = {
    '2001:db8:0:1::/64': ['2001:db8:0:1::', '2001:0DB8:0000:0001:a:b:c:d', '2001:db8::1:5:6:7:8'],
    '2001:db8:0:0::/64': ['2001:db8::', '2001:db8::1', '2001:db8::1:2:3:4'],
    '0:0:0:0::/64': ['::1', '::', '::10.0.0.1', '0:0:0:0:1:2:3:4'],
    'fe80:0:0:0::/64': ['fe80::1%eth0', 'fe80::abcd:1:2:3'],
  }
  for (const [group, addresses] of Object.entries(same)) {
    for (const address of addresses) t.equal(clientGroup(address), group, address)
  }
  const word = fc.integer({ min: 0, max: 0xffff })
  const words = fc.array(word, { minLength: 4, maxLength: 4 })
  fc.assert(
    fc.property(words, words, words, (site, one, other) => {
      const address = (rest: number[]): string =>
        [...site, ...rest].map((each) => each.toString(16)).join(':')
      return clientGroup(address(one)) === clientGroup(address(other))
    }),
  )
})
