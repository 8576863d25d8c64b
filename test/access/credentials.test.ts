import t from 'tap'
import { parseCredentials } from '../../src/access/credentials.js'

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`

t.test('Basic and Bearer credentials are parsed, other schemes are told apart', async (t) => {
  const rows: [header: string, credentials: object][] = [
    [basic('alice:a'), { scheme: 'basic', user: 'alice', password: 'a' }],
    [basic('alice:a:b'), { scheme: 'basic', user: 'alice', password: 'a:b' }],
    [basic(':'), { scheme: 'basic', user: '', password: '' }],
    [basic('é:ü'), { scheme: 'basic', user: 'é', password: 'ü' }],
    [`${basic('a:b').replace('Basic', 'bAsIc')}  `, { scheme: 'basic', user: 'a', password: 'b' }],
    ['Bearer x.y', { scheme: 'bearer', token: 'x.y' }],
    ['bearer x', { scheme: 'bearer', token: 'x' }],
    ['Negotiate x', { scheme: 'other' }],
    ['Basic', { scheme: 'other' }],
    ['Bearer a b', { scheme: 'other' }],
    [basic('no colon'), { scheme: 'other' }],
    ['', { scheme: 'other' }],
  ]
  for (const [header, credentials] of rows) t.same(parseCredentials(header), credentials, header)
})

t.test('no header, or several, are no credentials', async (t) => {
  t.equal(parseCredentials(undefined), undefined)
  t.equal(parseCredentials(['Bearer a', 'Bearer b']), undefined)
})
