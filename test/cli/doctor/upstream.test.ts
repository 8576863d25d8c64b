import t, { type Test } from 'tap'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { join } from 'node:path'
import { checkClock } from '../../../src/cli/doctor/clock.js'
import { checkUpstreams } from '../../../src/cli/doctor/upstream.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'
import { Git } from '../../../src/git/process/git.js'
import { Authority, type Pair } from '../../support/certificates.js'
import { eventually } from '../../support/eventually.js'
import { gitEnvironment, makeRepository } from '../../support/repositories.js'
import { startSmartServer } from '../../support/smart-server.js'
import { tempDir } from '../../support/temp-dir.js'

async function check(
  t: Test,
  upstream: string,
  flags: Record<string, string> = {},
  paths: string[] = [],
  environment: NodeJS.ProcessEnv = {},
) {
  const git = new Git({ path: 'git', environment: { ...gitEnvironment, ...environment } })
  t.teardown(() => git.close())
  const checked = await checkUpstreams(resolveSettings(readFlags({ upstream, ...flags })), {
    ...{ git, gitVersion: '2.50.0', environment: {}, paths },
  })
  await eventually('no Git process runs', () => git.running === 0)
  return checked
}

async function portOf(t: Test, server: Server & { closeAllConnections(): void }): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const serve = async (t: Test, listener: RequestListener): Promise<string> =>
  `http://127.0.0.1:${await portOf(t, createServer(listener))}`

const serveTls = async (t: Test, { cert, key }: Pair): Promise<string> => {
  const pem = { cert: readFileSync(cert), key: readFileSync(key) }
  return `https://localhost:${await portOf(
    t,
    createTlsServer(pem, (_request, response) => response.end()),
  )}`
}

t.test('a Git server: reachable, and what it makes of repositories', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const url = await startSmartServer(t, root)
  const { findings, readings } = await check(t, url, {}, ['r.git', 'nothing.git'])
  t.match(findings, [
    { line: /^upstream 127\.0\.0\.1:\d+: answers at http:\S+ with status 404$/, wrong: false },
    { line: /^r\.git: upstream \S+ answers in Git's protocol, [1-9]\d* bytes$/, wrong: false },
    { line: /^nothing\.git: upstream \S+ answers with status 404 without credentials/, isWarning: true },
  ])
  t.equal(findings.length, 3)
  t.match(checkClock(readings), [{ line: /^clock: within 10 s of that of upstream 127/ }])
})

t.test('what is no Git server, is out of order, wants credentials, or tells another time', async (t) => {
  const url = await serve(t, (request, response) => {
    response.setHeader('Date', 'Sun, 29 Nov 2020 12:00:00 GMT')
    if (request.url === '/') response.statusCode = 503
    if (request.url?.startsWith('/private')) response.statusCode = 401
    response.end('a page for people')
  })
  const { findings, readings } = await check(t, url, {}, ['page', 'private'])
  t.match(findings, [
    { line: /: answers with status 503 at .*: it, or a proxy before it, is out of order$/, wrong: true },
    { line: /^page: .* did not answer in the smart protocol of Git; is the path of --upstream/, wrong: true },
    { line: /^private: .* wants credentials \(401\), which clients bring$/, wrong: false },
  ])
  t.match(checkClock(readings), [{ line: /^clock: .* ahead of that of upstream/, isWarning: true }])
})

t.test('an upstream that does not listen', async (t) => {
  const server = createServer()
  const port = await portOf(t, server)
  server.close()
  await once(server, 'close')
  const { findings } = await check(t, `http://127.0.0.1:${port}`, {}, ['a', 'b'])
  t.match(findings, [{ line: /^upstream \S+: .*cannot connect.*; is the URL right/, wrong: true }, {}, {}])
})

t.test('TLS: an authority that is not known, and certificates that expire', async (t) => {
  const authority = new Authority(t)
  const ca = { upstreamCa: authority.cert }
  const san = 'DNS:localhost'
  const soon = await serveTls(t, authority.issue({ san, days: 2 }))
  t.match((await check(t, soon)).findings, [
    {
      line: /^upstream localhost:\d+: cannot connect: UNABLE_TO\w+; give the authority .* --upstream-ca$/,
      wrong: true,
    },
  ])
  t.match((await check(t, soon, ca)).findings, [
    { line: /answers at https/, wrong: false },
    { line: /: its certificate expires on \S+, in 1 day: .*have it renewed$/, isWarning: true },
  ])
  const expired = await serveTls(t, authority.issue({ san, days: -1 }))
  t.match((await check(t, expired, ca)).findings, [
    { line: /: CERT_HAS_EXPIRED; have its certificate renewed/, wrong: true },
  ])
})

t.test('refstream’s own credentials', async (t) => {
  const url = await serve(t, (request, response) => {
    response.statusCode = request.url?.startsWith('/r.git') ? 401 : 404
    response.end()
  })
  const upstreamCredentialFile = join(tempDir(t), 'credentials')
  writeFileSync(upstreamCredentialFile, 'me:secret-word\n', { mode: 0o600 })
  const service = { upstreamCredentials: 'service' }
  const refused = await check(t, url, { ...service, upstreamCredentialFile }, ['r.git'])
  t.match(refused.findings, [
    {},
    { line: /: there is a credential for it$/, wrong: false },
    { line: /^r\.git: .*wants another credential; .*see --upstream-credential-file$/, wrong: true },
  ])
  t.notMatch(JSON.stringify(refused.findings), 'secret-word')
  const none = await check(t, url, service)
  t.match(none.findings[1], {
    line: /there is no credential for it, so requests go without; /,
    isWarning: true,
  })

  const asked = join(tempDir(t), 'asked')
  const helper = `!f() { echo "$1" >> ${asked}; test "$1" != get || printf 'username=me\\npassword=word\\n'; }; f`
  const environment = {
    ...{ GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'credential.helper', GIT_CONFIG_VALUE_0: helper },
  }
  const helped = await check(t, url, service, ['nothing.git'], environment)
  t.match(helped.findings[2], {
    line: /status 404: .* refstream's credential may not read it; /,
    wrong: true,
  })
  t.equal(readFileSync(asked, 'utf8').trim(), 'get', 'the helper is not told to store it')
})
