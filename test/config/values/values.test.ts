import t from 'tap'
import { corsOrigin } from '../../../src/config/values/values.js'

t.test('origins are as browsers send them', async (t) => {
  for (const origin of [
    ...['*', 'https://app.example.com', 'http://localhost:3000', 'http://[::1]:3000', 'app://obsidian.md'],
    'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
  ])
    t.equal(corsOrigin.parse(origin), origin)
  for (const wrong of [
    ...[
      'null',
      'app.example.com',
      'https://app.example.com/',
      'https://a.example/x',
      'https://*.example.com',
    ],
    ...['https://user@app.example.com', 'https://', 'HTTPS://app.example.com', ''],
  ])
    t.equal(corsOrigin.safeParse(wrong).success, false, wrong)
  const { error } = corsOrigin.safeParse('https://App.example.com:443')
  t.equal(
    error?.issues[0]?.message,
    'browsers write the origin https://App.example.com:443 as https://app.example.com',
  )
})
