import t from 'tap'
import { parseForwarded } from '../../src/access/forwarded.js'

const parse = (text: string) => parseForwarded(text)?.map((element) => Object.fromEntries(element))

t.test('elements and their pairs', async (t) => {
  // RFC 7239, section 4 and 6.
  t.same(parse('for="_gazonk"'), [{ for: '_gazonk' }])
  t.same(parse('For="[2001:db8:cafe::17]:4711"'), [{ for: '[2001:db8:cafe::17]:4711' }])
  t.same(parse('for=192.0.2.60;proto=http;by=203.0.113.43'), [
    { for: '192.0.2.60', proto: 'http', by: '203.0.113.43' },
  ])
  t.same(parse('for=192.0.2.43, for=198.51.100.17'), [{ for: '192.0.2.43' }, { for: '198.51.100.17' }])
  t.same(parse(' , for=a ;host="b, \\"c\\\\;d" ,, for=e;'), [{ for: 'a', host: 'b, "c\\;d' }, { for: 'e' }])
  t.same(parse(''), [])
})

t.test('what is not valid is nothing', async (t) => {
  const rows = [
    'for',
    'for=',
    'for="',
    'for="a',
    'for=a b',
    'for=a for=b',
    'for="a"b',
    'for=[::1]',
    '=a',
    'for = a',
  ]
  for (const text of [...rows, 'for=a;for=b', 'for=a;For=b', 'for="\\"', 'for=ä'])
    t.equal(parseForwarded(text), undefined, text)
})

t.test('a long header takes no longer than its length', async (t) => {
  const began = performance.now()
  for (const piece of [' ', 'a', '"', '\\', ';', ',', '=', 'a=', 'a="', ' a="b" ']) {
    parseForwarded(piece.repeat(65_536))
    parseForwarded(`for="${piece.repeat(65_536)}`)
  }
  t.ok(performance.now() - began < 5000)
})
