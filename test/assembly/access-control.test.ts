import t, { type Test } from 'tap'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openAccessControl } from '../../src/assembly/access-control.js'
import { openCredentialFiles } from '../../src/assembly/credential-files.js'
import { readFlags, resolveSettings } from '../../src/config/settings.js'
import type { Log } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { makeRequest } from '../support/access-request.js'
import { tempDir } from '../support/temp-dir.js'

function open(t: Test, flags: Record<string, unknown>) {
  const settings = resolveSettings(readFlags({ root: '/r', ...flags }))
  const lines: string[] = []
  const write = (_fields: object, line: string): void => void lines.push(line)
  const log = { info: write, warn: write, error: write } as unknown as Log
  const metrics = new Metrics()
  const files = openCredentialFiles(settings, metrics, log)
  const control = openAccessControl(settings, files, () => undefined, metrics, log)
  t.teardown(async () => {
    files.close()
    await control.close()
  })
  return { ...control, files, lines }
}

t.test('without authentication every client is allowed', async (t) => {
  const { access, adminTokens } = open(t, {})
  t.same(await access.check(makeRequest({})), { user: undefined })
  t.equal(adminTokens, undefined)
})

t.test('tokens are read again on a reload', async (t) => {
  const file = join(tempDir(t), 'tokens')
  const write = (token: string): void =>
    writeFileSync(file, `ci:${createHash('sha256').update(token).digest('hex')}\n`)
  write('one')
  const { access, files } = open(t, { authTokens: file })
  const as = (token: string) => access.check(makeRequest({ headers: { authorization: `Bearer ${token}` } }))
  t.match(await as('one'), { user: 'ci' })
  write('two')
  files.reload()
  await t.rejects(async () => as('one'), { name: 'Unauthenticated' })
  t.match(await as('two'), { user: 'ci' })
})

t.test('an unavailable authorizer denies all requests, and is logged once a minute', async (t) => {
  const { access, lines } = open(t, { authUrl: 'http://127.0.0.1:1/' })
  for (let count = 0; count < 3; count++)
    await t.rejects(async () => access.check(makeRequest({})), { name: 'AuthorizerUnavailable' })
  t.same(lines, ['auth-url unavailable; denying all requests'])
})
