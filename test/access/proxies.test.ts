import t from 'tap'
import fc from 'fast-check'
import { addressIn, TrustedProxies, type Peer, type TrustedProxy } from '../../src/access/proxies.js'
import { trustedProxy } from '../../src/config/values/values.js'

const proxies = (...texts: string[]): TrustedProxies =>
  new TrustedProxies(texts.map((text): TrustedProxy => trustedProxy.parse(text)))
const from = (remoteAddress: string | undefined, more: Partial<Peer> = {}): Peer => ({
  remoteAddress,
  ...more,
})

t.test('an address, in whatever form it comes', async (t) => {
  const forms: Record<string, string[]> = {
    '192.0.2.1': [
      ...['192.0.2.1', ' 192.0.2.1\t', '192.0.2.1:80', '::ffff:192.0.2.1', '[::ffff:192.0.2.1]:80'],
      ...['::FFFF:c000:201', '0:0:0:0:0:ffff:192.0.2.1'],
    ],
    '2001:db8::1': ['2001:db8::1', '[2001:db8::1]', '[2001:DB8:0:0::1]:443', '2001:0db8::0001'],
    'fe80::1': ['fe80::1%eth0', '[fe80::1%25eth0]:80', 'fe80::1%..'],
  }
  for (const [address, texts] of Object.entries(forms))
    for (const text of texts) t.equal(addressIn(text), address, text)
  for (const junk of [
    ...[
      '',
      ' ',
      'unknown',
      '_hidden',
      'localhost',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '256.1.1.1',
      '1.2.3.4:',
    ],
    ...[
      '[::1',
      '::1]',
      '[]',
      ':::',
      '1.2.3.4:123456',
      '1.2.3.4 5.6.7.8',
      '::1:80x',
      '"192.0.2.1"',
      'x'.repeat(9999),
    ],
  ])
    t.equal(addressIn(junk), undefined, junk.slice(0, 30))
})

t.test('valid values of trusted-proxies', async (t) => {
  for (const text of ['unix', '10.0.0.0/8', '::1', 'fd00::/8', '0.0.0.0/0', '::ffff:10.0.0.0/104'])
    t.ok(trustedProxy.safeParse(text).success, text)
  for (const text of [
    '',
    'localhost',
    '10.0.0.0/33',
    '10.0.0/8',
    '::1/129',
    '10.0.0.1/',
    '10.0.0.1/x',
    'fe80::1%eth0',
  ])
    t.notOk(trustedProxy.safeParse(text).success, text)
  t.same(trustedProxy.parse('::ffff:10.0.0.0/104'), { address: '10.0.0.0', bits: 8 })
})

t.test('the client is the last that no trusted proxy has named', async (t) => {
  const trusted = proxies('10.0.0.0/8', 'fd00::/8', 'unix')
  const rows: [
    what: string,
    peer: Peer,
    header: string | string[] | undefined,
    address: unknown,
    route: string[],
  ][] = [
    ['nobody trusted', from('192.0.2.9'), '203.0.113.9', '192.0.2.9', ['192.0.2.9']],
    ['one proxy', from('10.0.0.1'), '203.0.113.9', '203.0.113.9', ['203.0.113.9', '10.0.0.1']],
    ['as IPv6', from('::ffff:10.0.0.1'), '203.0.113.9', '203.0.113.9', ['203.0.113.9', '10.0.0.1']],
    [
      'two, and what the client says of itself',
      from('10.0.0.1'),
      '10.9.9.9, 1.1.1.1, 203.0.113.9, 10.0.0.2',
      '203.0.113.9',
      ['203.0.113.9', '10.0.0.2', '10.0.0.1'],
    ],
    [
      'in many fields',
      from('fd00::1'),
      ['1.1.1.1', '203.0.113.9,fd00::2'],
      '203.0.113.9',
      [...['203.0.113.9', 'fd00::2', 'fd00::1']],
    ],
    [
      'with ports',
      from('10.0.0.1'),
      '[2001:db8::9]:1234, 10.0.0.2:99',
      '2001:db8::9',
      [...['2001:db8::9', '10.0.0.2', '10.0.0.1']],
    ],
    ['no header', from('10.0.0.1'), undefined, '10.0.0.1', ['10.0.0.1']],
    ['an empty one', from('10.0.0.1'), '', '10.0.0.1', ['10.0.0.1']],
    ['junk', from('10.0.0.1'), '203.0.113.9, unknown, 10.0.0.2', '10.0.0.2', ['10.0.0.2', '10.0.0.1']],
    ['all trusted', from('10.0.0.1'), '10.0.0.3, 10.0.0.2', '10.0.0.3', ['10.0.0.3', '10.0.0.2', '10.0.0.1']],
    ['a Unix socket', from(undefined, { unix: true }), '203.0.113.9', '203.0.113.9', ['203.0.113.9']],
    ['a connection that has gone', from(undefined), '203.0.113.9', undefined, []],
  ]
  for (const [what, peer, header, address, route] of rows) {
    const client = trusted.clientOf(peer, { 'x-forwarded-for': header, forwarded: 'for=198.51.100.7' })
    t.match(client, { address, route }, what)
    t.equal(client.route.length, route.length)
  }
})

t.test('scheme and host are those that the client requested', async (t) => {
  const trusted = proxies('10.0.0.0/8')
  const said = (headers: Record<string, string | string[]>, peer = from('10.0.0.1')) => {
    const { scheme, host } = trusted.clientOf(peer, { host: 'inner:8080', ...headers })
    return `${scheme}://${host}`
  }
  const both = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'git.example.com' }
  t.equal(said(both), 'https://git.example.com')
  t.equal(said(both, from('192.0.2.1')), 'http://inner:8080', 'only a trusted one is believed')
  t.equal(said(both, from('192.0.2.1', { encrypted: true })), 'https://inner:8080')
  t.equal(said({}), 'http://inner:8080')
  t.equal(said({ 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'evil, real:81' }), 'http://real:81')
  t.equal(
    said({ 'x-forwarded-for': '203.0.113.9, 10.0.0.2', 'x-forwarded-proto': 'https, http' }),
    'https://inner:8080',
    'what the first proxy has said',
  )
  for (const junk of ['', 'javascript', 'HTTPS ,'])
    t.match(said({ 'x-forwarded-proto': junk }), /^http:/, junk)
  for (const junk of ['a b', 'a/b', 'user@a', 'a:b', '[::1', 'x'.repeat(300), '<']) {
    t.equal(said({ 'x-forwarded-host': junk }), 'http://inner:8080', junk.slice(0, 9))
  }
  t.equal(said({ host: ['a', 'b'] }), 'http://undefined', 'twice is nothing')
})

t.test('a client cannot spoof the address that its proxy reports', async () => {
  const trusted = proxies('10.0.0.0/8', 'fd00::/8')
  const spoofed = fc.array(
    fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.string(),
      fc.constantFrom('10.0.0.7', '[fd00::1]:80', 'unknown', ',', ' '),
    ),
    { maxLength: 8 },
  )
  const client = fc
    .oneof(fc.ipV4(), fc.ipV6())
    .filter((address) => !/^(10\.|fd)/i.test(addressIn(address) ?? '10.'))
  const inner = fc.array(
    fc.constantFrom('10.0.0.2', '10.1.2.3:99', 'fd00::2', '[fd00:0::3]', '::ffff:10.0.0.9'),
    {
      maxLength: 4,
    },
  )
  fc.assert(
    fc.property(spoofed, client, inner, fc.boolean(), (before, address, hops, inFields) => {
      const entries = [...before, address, ...hops]
      const header = inFields ? entries : entries.join(', ')
      const found = trusted.clientOf(from('10.0.0.1'), { 'x-forwarded-for': header })
      return found.address === addressIn(address) && found.route.length === hops.length + 2
    }),
    { numRuns: 1000 },
  )
})

t.test('an address has one form', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      const form = addressIn(address)
      return (
        form !== undefined &&
        addressIn(form) === form &&
        addressIn(`[${address}]:1`) === form &&
        addressIn(address.toUpperCase()) === form &&
        (!form.includes('.') || addressIn(`::ffff:${form}`) === form || form.includes(':'))
      )
    }),
  )
})

const byForwarded = new TrustedProxies(
  ['10.0.0.0/8', 'fd00::/8'].map((text): TrustedProxy => trustedProxy.parse(text)),
  'forwarded',
)

t.test('Forwarded is read in the place of X-Forwarded-*, if the proxies write it', async (t) => {
  const rows: [header: string | string[], address: string, scheme: string, host: string][] = [
    ['for=203.0.113.9', '203.0.113.9', 'http', 'inner:80'],
    [
      'For="[2001:DB8::9]:4711";Proto=https;host=git.example.com;by=_x',
      '2001:db8::9',
      'https',
      'git.example.com',
    ],
    ['for=1.1.1.1;proto=https;host=evil, for=203.0.113.9', '203.0.113.9', 'http', 'inner:80'],
    ['for=203.0.113.9;host="a:81";proto=https, for=10.0.0.2;proto=http', '203.0.113.9', 'https', 'a:81'],
    [['for=1.1.1.1', 'for=203.0.113.9,for="10.0.0.2:99"'], '203.0.113.9', 'http', 'inner:80'],
    ['for=203.0.113.9, for=unknown;host=a', '10.0.0.1', 'http', 'a'],
    ['for=203.0.113.9, for=_hidden', '10.0.0.1', 'http', 'inner:80'],
    ['for=203.0.113.9, by=10.0.0.1', '10.0.0.1', 'http', 'inner:80'],
    ['for=", for=203.0.113.9', '10.0.0.1', 'http', 'inner:80'],
    ['', '10.0.0.1', 'http', 'inner:80'],
  ]
  const headers = {
    'x-forwarded-for': '1.1.1.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'evil',
    host: 'inner:80',
  }
  for (const [forwarded, address, scheme, host] of rows) {
    const client = byForwarded.clientOf(from('10.0.0.1'), { ...headers, forwarded })
    t.match(client, { address, scheme, host }, String(forwarded))
  }
  t.equal(byForwarded.clientOf(from('10.0.0.1'), headers).address, '10.0.0.1', 'the other header alone')
  t.equal(byForwarded.clientOf(from('192.0.2.9'), { forwarded: 'for=1.1.1.1' }).address, '192.0.2.9')
})

t.test('whatever a client writes into Forwarded, it is itself or the proxy', async () => {
  const pieces = [
    'for=',
    '9.9.9.9',
    '"',
    '\\',
    ',',
    ';',
    ' ',
    'host=',
    'x',
    '=',
    '[',
    ']',
    'for="9.9.9.9"',
    '10.0.0.7',
  ]
  const text = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((parts) => parts.join(''))
  const quoted = (value: string): string => `"${value.replaceAll(/["\\]/g, '\\$&')}"`
  fc.assert(
    fc.property(text, text, fc.boolean(), (before, host, inFields) => {
      // The client chooses the host too.
      const own = `for="203.0.113.9:1234";host=${quoted(host)};proto=https`
      const forwarded = inFields ? [before, own] : `${before}, ${own}`
      const { address, route } = byForwarded.clientOf(from('10.0.0.1'), { forwarded })
      return (
        (address === '203.0.113.9' && route.length === 2) || (address === '10.0.0.1' && route.length === 1)
      )
    }),
    { numRuns: 5000 },
  )
})
