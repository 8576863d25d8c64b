import t from 'tap'
import { spawnSync } from 'node:child_process'
import { parseHook, renderHook } from '../../../src/git/hook/hook-script.js'

t.test('settings are read from the program as they were filled in', async (t) => {
  for (const settings of [
    { admin: 'http://127.0.0.1:8081', tokenFile: undefined },
    { admin: "unix:/it's $here & $& there", tokenFile: '/etc/token' },
    { admin: 'https://[::1]:8081', tokenFile: "/a '' b" },
  ]) {
    const text = renderHook(settings)
    t.same(parseHook(text), settings)
    t.equal(spawnSync('sh', ['-n'], { input: text }).status, 0, 'the program is valid')
  }
})

t.test('another program is not taken for the hook, but an older version is', async (t) => {
  t.equal(parseHook(''), undefined)
  t.equal(parseHook("#!/bin/sh\n  admin='http://x'\n"), undefined)
  const old = "#!/bin/sh\n# refstream's reference-transaction hook, of long ago\n  admin='http://x'\n"
  t.same(parseHook(old), { admin: 'http://x', tokenFile: undefined })
  t.equal(parseHook(old.replace('admin', 'other')), undefined, 'without an address')
})
