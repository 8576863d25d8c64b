import t from 'tap'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkTokenFile } from '../../../src/git/hook/hook-token-file.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('a token file must hold a token that a header can carry', async (t) => {
  const path = join(tempDir(t), 'token')
  for (const text of ['secret', 'secret\n', 'secret\r\n', 'a:b\nsecond line\n']) {
    writeFileSync(path, text)
    t.doesNotThrow(() => checkTokenFile(path), JSON.stringify(text))
  }
  for (const [text, message] of [
    ['', /empty first line/],
    ['\nsecret\n', /empty first line/],
    [`ci:${'0'.repeat(64)}\n`, /holds a name and a hash/],
    ['two words\n', /is no token/],
    ['sécret\n', /is no token/],
    ['x'.repeat(65_537), /too long/],
  ] as const) {
    writeFileSync(path, text)
    t.throws(() => checkTokenFile(path), { name: 'HookError', message }, JSON.stringify(text.slice(0, 20)))
  }
})

t.test('a token file must be a file that can be read', async (t) => {
  const directory = tempDir(t)
  mkdirSync(join(directory, 'd'))
  t.throws(() => checkTokenFile(join(directory, 'd')), { message: /is not a file/ })
  t.throws(() => checkTokenFile(join(directory, 'none')), { message: /cannot be read: ENOENT/ })
  t.throws(() => checkTokenFile('a\nb'), { message: /control character/ })
})
