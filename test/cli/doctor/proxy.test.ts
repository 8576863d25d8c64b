import t, { type Test } from 'tap'
import { request, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import { checkProxy, type AskSidecar } from '../../../src/cli/doctor/proxy.js'
import { runCommand } from '../../support/command.js'
import { startHttpServer } from '../../support/http-server.js'
import { startSidecar } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'

const serve = async (t: Test, listener: RequestListener): Promise<URL> =>
  new URL(`http://127.0.0.1:${await startHttpServer(t, listener)}`)

/** Starts a proxy that connects from 127.0.0.2, which the sidecar trusts. */
const startProxy = (t: Test, to: string, { path = (asked) => asked, headers }: Rewriting): Promise<URL> =>
  serve(t, (asked, answer) => {
    const options = { localAddress: '127.0.0.2', agent: false as const, headers: headers(asked.headers) }
    request(new URL(path(asked.url!), to), options, (response) => {
      answer.writeHead(response.statusCode!, response.headers)
      response.pipe(answer)
    }).end()
  })

interface Rewriting {
  readonly path?: (asked: string) => string
  readonly headers: (asked: IncomingHttpHeaders) => IncomingHttpHeaders
}

const withoutUser = (headers: IncomingHttpHeaders): IncomingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'x-remote-user'))

t.test('what a proxy does with the headers of its clients', async (t) => {
  const args = ['--trusted-proxies', '127.0.0.2', '--remote-user-header', 'X-Remote-User']
  const sidecar = await startSidecar(t, tempDir(t), { args })
  const settings = {
    trustedProxies: [{ address: '127.0.0.2', bits: 32 }],
    forwardedHeader: 'x-forwarded-for' as const,
    remoteUserHeader: 'x-remote-user',
  } satisfies Parameters<typeof checkProxy>[1]
  const ask: AskSidecar = async (path) => {
    const response = await fetch(sidecar.adminUrl + path)
    return { status: response.status, body: await response.json() }
  }
  const good = await startProxy(t, sidecar.url, {
    headers: (headers) => ({
      ...withoutUser(headers),
      'x-forwarded-for': `${headers['x-forwarded-for'] as string}, 127.0.0.1`,
    }),
  })
  t.match(await checkProxy(good, settings, ask), [
    {
      line: /^proxy: http:\S+ leads to this refstream, which sees client 127\.0\.0\.1, scheme http, protocol version 2$/,
      wrong: false,
    },
  ])

  const credulous = await startProxy(t, sidecar.url, { headers: (headers) => headers })
  t.match(await checkProxy(credulous, settings, ask), [
    { line: /passes on x-remote-user as clients have written it, .* overwrite or remove it/, wrong: true },
    { line: /passes on addresses of clients as they have written them; /, wrong: true },
  ])
  const trusted = { ...settings, trustedProxies: [{ address: '127.0.0.0', bits: 8 }] }
  t.match(await checkProxy(credulous, trusted, ask), [
    {},
    { line: /this machine, 127\.0\.0\.1, is among --trusted-proxies/, isWarning: true },
  ])

  const silent = await startProxy(t, sidecar.url, {
    path: (asked) => `/git${asked}`,
    headers: () => ({ 'x-forwarded-proto': 'https' }),
  })
  t.match(await checkProxy(silent, settings, ask), [
    {
      line: /refstream takes 127\.0\.0\.2 for .* connected from 127\.0\.0\.1; list the proxy in/,
      isWarning: true,
    },
    {
      line: /sees the scheme https instead of http, .* X-Forwarded-Proto in every request$/,
      isWarning: true,
    },
    { line: /does not pass on Git-Protocol/, isWarning: true },
    { line: /refstream is asked for git\/refstream-doctor-\w+\.git; /, isWarning: true },
  ])

  const other = await serve(t, (_request, response) => response.end('another server'))
  t.match(await checkProxy(other, settings, ask), [
    { line: /answers with status 200, but not from this refstream: /, wrong: true },
  ])
  t.match(await checkProxy(new URL('http://127.0.0.1:9'), settings, ask), [
    { line: /^proxy: http:\/\/127\.0\.0\.1:9 cannot be reached: .*ECONNREFUSED/, wrong: true },
  ])
  t.match(await checkProxy(good, settings, async () => ({ status: 401, body: '' })), [
    { line: /cannot be seen: .*\(status 401\); .*REFSTREAM_ADMIN_TOKEN/, isWarning: true },
  ])

  const flags = ['--root', tempDir(t), '--admin', sidecar.adminUrl.replace('http://', ''), ...args]
  t.match(
    (await runCommand(['doctor', ...flags, '--url', good.href])).stdout,
    /^proxy: http:\S+ leads to this/m,
  )
  t.match(await runCommand(['doctor', ...flags, '--url', 'ftp://x']), {
    status: 2,
    stderr: /--url.*http: or https:/,
  })
})
