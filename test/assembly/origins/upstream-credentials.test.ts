import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openUpstreamCredentials } from '../../../src/assembly/origins/upstream-credentials.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'
import { Git } from '../../../src/git/process/git.js'
import { CredentialFile } from '../../../src/origin/upstream/credentials/credential-file.js'
import { GitCredential } from '../../../src/origin/upstream/credentials/git-credential.js'
import { basicAuthorization } from '../../../src/origin/upstream/credentials/credential-source.js'
import { createLog } from '../../../src/telemetry/log.js'
import { gitEnvironment } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const url = 'https://git.example'
const parts = {
  git: new Git({ path: 'git', environment: gitEnvironment }),
  log: createLog('silent'),
}
const settingsOf = (flags: Readonly<Record<string, string>>) =>
  resolveSettings(readFlags({ upstream: url, ...flags }))

t.test('clients bring their own credentials unless refstream has one', async (t) => {
  t.equal(openUpstreamCredentials(settingsOf({}), url, undefined, parts), undefined)
})

t.test('refstream’s own comes from the file that was read last, else from Git’s helpers', async (t) => {
  const settings = settingsOf({ upstreamCredentials: 'service' })
  t.type(openUpstreamCredentials(settings, url, undefined, parts), GitCredential)
  const path = join(tempDir(t), 'credentials')
  const read = (secret: string) => {
    writeFileSync(path, `me:${secret}\n`, { mode: 0o600 })
    return CredentialFile.read(path, [url])
  }
  let file = read('one')
  const source = openUpstreamCredentials(settings, url, () => file, parts)
  t.equal(await source?.get(), basicAuthorization('me', 'one'))
  file = read('two')
  t.equal(await source?.get(), basicAuthorization('me', 'two'))
})
