import t, { type Test } from 'tap'
import { hashSync } from 'bcryptjs'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openAccessControl } from '../../../src/assembly/credentials/access-control.js'
import { openCredentialFiles } from '../../../src/assembly/credentials/credential-files.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'
import type { Log } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { makeRequest } from '../../support/access-request.js'
import { serveAuthorizer } from '../../support/authorizer.js'
import { tempDir } from '../../support/temp-dir.js'

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
  return { ...control, files, lines, metrics }
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

t.test('rules of a file are read again on a reload; those that cannot be used change nothing', async (t) => {
  const file = join(tempDir(t), 'rules')
  writeFileSync(file, 'a=read:alice\n')
  const { access, files, lines } = open(t, { accessFile: file })
  const may = async (repository: string): Promise<boolean> => {
    try {
      await access.check(makeRequest({ repository, knownAs: 'alice' }))
      return true
    } catch {
      return false
    }
  }
  t.same([await may('a'), await may('b')], [true, false])
  for (const text of ['a=read:bob\nb=write:alice\n', '', 'a(b=read:*']) {
    writeFileSync(file, text)
    files.reload()
    t.same([await may('a'), await may('b')], [true, false], JSON.stringify(text))
    t.match(lines.pop(), /cannot be used; the content read before stays in force/)
  }
  writeFileSync(file, 'b=read:alice\n')
  files.reload()
  t.same([await may('a'), await may('b')], [false, true])
  t.same(lines, ['files reloaded'])
})

t.test('passwords are checked again after a reload of their file', async (t) => {
  const file = join(tempDir(t), 'passwords')
  writeFileSync(file, `alice:${hashSync('a', 4)}\n`)
  const { access, files, metrics } = open(t, { authHtpasswd: file, authCacheSeconds: '3600' })
  const authorization = `Basic ${Buffer.from('alice:a').toString('base64')}`
  const check = () => access.check(makeRequest({ headers: { authorization } }))
  const checks = async (): Promise<number> =>
    (await metrics.authChecks.get()).values.reduce((sum, { value }) => sum + value, 0)
  await check()
  await check()
  t.equal(await checks(), 1)
  files.reload()
  await check()
  t.equal(await checks(), 2)
})

t.test('forgotten decisions are made again', async (t) => {
  const { url, asked } = await serveAuthorizer(t, (_request, response) => response.end())
  const control = open(t, { authUrl: url, authCacheSeconds: '3600' })
  const check = () => control.access.check(makeRequest({}))
  await check()
  await check()
  control.forgetDecisions()
  await check()
  t.equal(asked.length, 2)
})

t.test('proxies are believed by the header that they write', async (t) => {
  const clientBy = (flags: Record<string, unknown>) => {
    const { proxies } = open(t, { trustedProxies: '10.0.0.1', ...flags })
    const headers = { 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.2' }
    return proxies.clientOf({ remoteAddress: '10.0.0.1' }, headers).address
  }
  t.equal(clientBy({}), '192.0.2.1')
  t.equal(clientBy({ forwardedHeader: 'forwarded' }), '192.0.2.2')
})
