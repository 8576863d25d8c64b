import t from 'tap'
import { allowedName, certificateNames, certificatesIn } from '../../src/access/client-certificate.js'

const certificate = (subject: string, subjectAltName?: string) =>
  ({ subject, subjectAltName }) as { subject: string; subjectAltName: string }

t.test('names, as Node writes them', async (t) => {
  const names = (subject: string, san?: string) => certificateNames(certificate(subject, san))
  t.same(names('O=o\nCN=alice\nCN=a\\, b'), ['alice', 'a\\, b'])
  t.same(names('CN=x', 'DNS:a.example, IP Address:127.0.0.1, URI:spiffe://d/x, email:a@b'), [
    'a.example',
    'spiffe://d/x',
    'a@b',
  ])
  t.same(names('CN=x', 'IP Address:127.0.0.1'), ['x'])
  t.same(names('O=only'), [])
  t.same(names('CN=x', 'URI:"http://a, DNS:b, c\\"", DNS:d'), ['http://a, DNS:b, c"', 'd'], 'quoted')
})

t.test('a certificate is accepted if one of its names is allowed', async (t) => {
  const holder = certificate('CN=x', 'DNS:a, DNS:b-1')
  t.equal(allowedName(holder, undefined), 'a')
  t.equal(allowedName(holder, ['c', 'b-*']), 'b-1')
  t.equal(allowedName(holder, ['x']), undefined)
  t.equal(allowedName(holder, []), undefined)
  t.equal(
    allowedName(certificate('O=only'), undefined),
    '',
    'a certificate without a name is accepted if no names are configured',
  )
  t.equal(allowedName(certificate('O=only'), ['*']), undefined)
  t.throws(() => certificatesIn('nothing'), /no certificate/)
})
