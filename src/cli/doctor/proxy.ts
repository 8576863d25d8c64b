import { randomBytes } from 'node:crypto'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { TrustedProxies } from '../../access/proxies.js'
import type { Settings } from '../../config/options/options.js'
import type { TailedRequest } from '../../status/request-tail.js'
import { fine, warning, wrong, type Finding } from './finding.js'

/** Asks the admin API of the running sidecar by GET. */
export type AskSidecar = (path: string) => Promise<{ readonly status: number; readonly body: unknown }>

type ProxySettings = Pick<Settings, 'trustedProxies' | 'forwardedHeader' | 'remoteUserHeader'>

/** Milliseconds for the answer through the proxy, and for the sidecar to tell of the request. */
const answerMs = 10_000
const toldMs = 3000
const pauseMs = 100

/** What the request claims to be, as a client could: an address for documentation (RFC 5737), and a user. */
const forgedAddress = '192.0.2.77'
const forgedUser = 'refstream-doctor'

/**
 * Sends a request to a public URL, with headers that only a proxy may write, and asks the sidecar what has arrived. The
 * repository that is asked for does not exist.
 */
export async function checkProxy(url: URL, settings: ProxySettings, ask: AskSidecar): Promise<Finding[]> {
  const where = `${url.origin}${url.pathname.replace(/\/+$/, '')}`
  const first = await ask('/v1/requests').catch((error: unknown) => error as Error)
  if (first instanceof Error || first.status !== 200) {
    const reason = first instanceof Error ? first.message : `status ${first.status}`
    return [
      warning(
        `proxy: what arrives through ${where} cannot be seen: the admin API does not tell of requests (${reason}); ` +
          'start refstream, give its --admin and, in REFSTREAM_ADMIN_TOKEN, its token',
      ),
    ]
  }
  const name = `refstream-doctor-${randomBytes(8).toString('hex')}.git`
  const sent = await send(`${where}/${name}/info/refs?service=git-upload-pack`, settings).catch(
    (error: unknown) => error as Error,
  )
  if (sent instanceof Error)
    return [
      wrong(`proxy: ${where} cannot be reached: ${sent.message}; is the URL right, and does the proxy run?`),
    ]
  const arrived = await find(name, (first.body as { next: string }).next, ask)
  if (!arrived)
    return [
      wrong(
        `proxy: ${where} answers with status ${sent.status}, but not from this refstream: ` +
          'is the URL right, and does the proxy pass paths of repositories on to --listen?',
      ),
    ]
  const findings = [...judge(where, name, arrived, sent.localAddress, settings)]
  if (findings.length > 0) return findings
  const seen = `client ${arrived.client ?? 'without address'}, scheme ${arrived.scheme ?? 'unknown'}, protocol version ${arrived.version}`
  return [fine(`proxy: ${where} leads to this refstream, which sees ${seen}`)]
}

interface Sent {
  readonly status: number
  /** Where this command connected from. */
  readonly localAddress: string
}

function send(url: string, { remoteUserHeader }: ProxySettings): Promise<Sent> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    request(
      url,
      {
        signal: AbortSignal.timeout(answerMs),
        agent: false,
        headers: {
          'User-Agent': 'git/refstream-doctor',
          'Git-Protocol': 'version=2',
          'X-Forwarded-For': forgedAddress,
          Forwarded: `for=${forgedAddress}`,
          ...(remoteUserHeader !== undefined && { [remoteUserHeader]: forgedUser }),
        },
      },
      (response) => {
        const { statusCode: status = 0, socket } = response
        const { localAddress = '' } = socket
        response.destroy()
        resolve({ status, localAddress: localAddress.replace(/^::ffff:/, '') })
      },
    )
      .on('error', reject)
      .end()
  })
}

/** Resolves with what the sidecar tells of a request for a repository; undefined: none has arrived. */
async function find(name: string, from: string, ask: AskSidecar): Promise<TailedRequest | undefined> {
  const until = performance.now() + toldMs
  for (let next = from; performance.now() < until; await sleep(pauseMs)) {
    const { status, body } = await ask(`/v1/requests?from=${encodeURIComponent(next)}`)
    if (status !== 200) return undefined
    const answer = body as { readonly requests: readonly TailedRequest[]; readonly next: string }
    const found = answer.requests.find(({ repository = '' }) => repository.includes(name))
    if (found) return found
    next = answer.next
  }
  return undefined
}

function* judge(
  where: string,
  name: string,
  { repository, version, user, client, scheme }: TailedRequest,
  localAddress: string,
  { trustedProxies = [], forwardedHeader, remoteUserHeader }: ProxySettings,
): Generator<Finding> {
  if (user === forgedUser)
    yield wrong(
      `proxy: ${where} passes on ${remoteUserHeader} as clients have written it, so that each can be any user; ` +
        'have the proxy overwrite or remove it in every request',
    )
  if (client === forgedAddress) {
    // A proxy that appends this machine's address has made no mistake if that is a trusted proxy's as well.
    const isProxy = new TrustedProxies(trustedProxies, forwardedHeader).trusts({
      remoteAddress: localAddress,
    })
    yield isProxy
      ? warning(
          `proxy: this machine, ${localAddress}, is among --trusted-proxies, so what clients' addresses become cannot be told; ` +
            'run refstream doctor --url on another machine, with --admin',
        )
      : wrong(
          `proxy: ${where} passes on addresses of clients as they have written them; ` +
            `have the proxy append to, or overwrite, ${forwardedHeader}, and list nothing but proxies in --trusted-proxies`,
        )
  } else if (client !== localAddress) {
    yield warning(
      `proxy: through ${where}, refstream takes ${client ?? 'nothing'} for the client's address, and this command has connected from ` +
        `${localAddress}; list the proxy in --trusted-proxies and have it write ${forwardedHeader}, unless addresses are translated on the way (NAT)`,
    )
  }
  const used = where.startsWith('https:') ? 'https' : 'http'
  if (scheme !== undefined && scheme !== used)
    yield warning(
      `proxy: through ${where}, refstream sees the scheme ${scheme} instead of ${used}, for the log and --auth-url; ` +
        `have the proxy set ${forwardedHeader === 'forwarded' ? 'proto in Forwarded' : 'X-Forwarded-Proto'} in every request`,
    )
  if (version !== 2)
    yield warning(
      `proxy: ${where} does not pass on Git-Protocol, so that clients get all refs by protocol v0; ` +
        'have the proxy pass it on (nginx: proxy_set_header Git-Protocol $http_git_protocol)',
    )
  if (repository !== name)
    yield warning(
      `proxy: of ${where}/${name}, refstream is asked for ${repository}; ` +
        "unless repositories are below that path, have the proxy remove what is before a repository's path",
    )
}
