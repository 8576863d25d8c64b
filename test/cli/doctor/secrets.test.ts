import t from 'tap'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkSecrets } from '../../../src/cli/doctor/secrets.js'
import type { Settings } from '../../../src/config/options/options.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('files with secrets that all users can read or write', async (t) => {
  const path = join(tempDir(t), 'tokens')
  writeFileSync(path, 'a secret')
  const check = (mode: number) => {
    chmodSync(path, mode)
    return checkSecrets({ authTokens: path, adminTokenFile: path } as Settings)
  }
  t.same(check(0o640), [])
  t.match(check(0o644), [
    {
      line: `secret: every user of this machine can read ${path} of --auth-tokens: chmod o= ${path}`,
      wrong: false,
    },
    { line: /--admin-token-file/, isWarning: true },
  ])
  t.match(check(0o602), [{ line: /can write/ }, { line: /can write/ }])
  t.same(checkSecrets({} as Settings), [])
})
