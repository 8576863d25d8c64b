import { readUpstreamCredentials } from '../../assembly/credentials/credential-files.js'
import { openUpstreams } from '../../assembly/origins/open-upstreams.js'
import type { Settings } from '../../config/options/options.js'
import type { Git } from '../../git/process/git.js'
import { UpstreamRefusal } from '../../origin/faults/upstream-errors.js'
import { anonymous } from '../../origin/upstream/credentials/view.js'
import type { Upstream } from '../../origin/upstream/upstream.js'
import { NotSmart, UpstreamRequests } from '../../origin/upstream/upstream-requests.js'
import type { Upstreams } from '../../origin/upstream/upstreams.js'
import { createLog } from '../../telemetry/log.js'
import { Metrics } from '../../telemetry/metrics.js'
import { judgeExpiry } from './certificates.js'
import { readDate, type ClockReading } from './clock.js'
import { fine, warning, wrong, type Finding } from './finding.js'
import { serverExpiry } from './server-certificate.js'

/** Seconds that an upstream may take for one answer, unless the settings allow it less. */
const answerMaxSeconds = 20

export interface UpstreamCheckOptions {
  readonly git: Git
  readonly gitVersion: string
  readonly environment: NodeJS.ProcessEnv
  /** Repositories that the command line names. */
  readonly paths: readonly string[]
}

/** Checks that upstreams can be reached with these settings and, for the repositories given, that they answer as Git. */
export async function checkUpstreams(
  settings: Settings,
  { git, gitVersion, environment, paths }: UpstreamCheckOptions,
): Promise<{ readonly findings: Finding[]; readonly readings: ClockReading[] }> {
  const { upstreamCredentialFile: file, upstreamHeadSeconds } = settings
  const credentials = file === undefined ? undefined : readUpstreamCredentials(settings, file)
  const parts = { git, metrics: new Metrics(), log: createLog('silent') }
  const credentialFile = credentials && (() => credentials)
  const opened = openUpstreams(settings, environment, gitVersion, credentialFile, () => anonymous, parts)
  const limitMs = Math.min(upstreamHeadSeconds, answerMaxSeconds) * 1000
  const readings: ClockReading[] = []
  try {
    const findings = await Promise.all(
      opened.all.map((upstream) => checkServer(upstream, readings, environment, limitMs)),
    )
    for (const path of paths) findings.push([await checkRepository(opened.upstreams, path, limitMs)])
    return { findings: findings.flat(), readings }
  } finally {
    await opened.close()
  }
}

async function checkServer(
  upstream: Upstream,
  readings: ClockReading[],
  environment: NodeJS.ProcessEnv,
  limitMs: number,
): Promise<Finding[]> {
  const { name, url } = upstream
  const what = `upstream ${name}`
  const since = Date.now()
  try {
    const response = await upstream.client.request({
      ...{ method: 'GET', path: '/', headers: {}, class: 'pass', group: '', admitted: false },
      signal: AbortSignal.timeout(limitMs),
    })
    response.body.destroy()
    const { status } = response
    // An answer from a cache has the date at which it was made.
    const isKept = response.values('age').length > 0
    const reading = isKept ? undefined : readDate(what, response.values('date')[0], since)
    if (reading) readings.push(reading)
    const answers =
      status >= 500
        ? wrong(
            `${what}: answers with status ${status} at ${url}/: it, or a proxy before it, is out of order`,
          )
        : fine(`${what}: answers at ${url}/ with status ${status}`)
    return [
      answers,
      ...(await checkCertificate(what, url, environment)),
      ...(await checkCredential(upstream)),
    ]
  } catch (error) {
    return [wrong(`${what}: ${reasonOf(upstream, error, limitMs)}; ${adviceFor(error)}`)]
  }
}

/** Variables that send https: requests through a proxy, which may be the only way out. */
const proxyVariables = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY']

async function checkCertificate(
  what: string,
  url: string,
  environment: NodeJS.ProcessEnv,
): Promise<Finding[]> {
  if (!url.startsWith('https:') || proxyVariables.some((name) => environment[name])) return []
  const expiresMs = await serverExpiry(new URL(url))
  if (expiresMs === undefined) return []
  return [judgeExpiry(`${what}: its certificate`, expiresMs, 'refstream refuses to connect; have it renewed')]
}

/** Checks that there is a credential where refstream sends its own. Nothing tells Git's helpers whether it is any good. */
async function checkCredential({ name, service }: Upstream): Promise<Finding[]> {
  if (!service) return []
  try {
    if ((await service.get()) !== undefined) return [fine(`upstream ${name}: there is a credential for it`)]
    return [
      warning(
        `upstream ${name}: there is no credential for it, so requests go without; ` +
          'add a line to --upstream-credential-file, or store one that `git credential fill` finds as this user',
      ),
    ]
  } catch (error) {
    return [wrong(`upstream ${name}: its credential cannot be found out: ${(error as Error).message}`)]
  }
}

async function checkRepository(upstreams: Upstreams, path: string, limitMs: number): Promise<Finding> {
  if (!upstreams.has(path)) return wrong(`${path}: no rule of --upstream matches it`)
  const repository = upstreams.find({ path })
  const { upstream } = repository
  const what = `${path || '.'}: upstream ${upstream.name}`
  try {
    const answer = await new UpstreamRequests().advertisement(
      { ...repository, upstream: quiet(upstream) },
      2,
      {
        ...{ cause: 'client', kept: undefined },
        signal: AbortSignal.timeout(limitMs),
      },
    )
    let bytes = 0
    if (answer !== 'unchanged') for await (const { length } of answer) bytes += length
    return fine(`${what} answers in Git's protocol, ${bytes} bytes`)
  } catch (error) {
    if (error instanceof UpstreamRefusal) return judgeRefusal(what, error, upstream.service !== undefined)
    return wrong(`${what}: ${reasonOf(upstream, error, limitMs)}; ${adviceFor(error)}`)
  }
}

/** Keeps from helpers whether their credential was accepted: a check must not make them store or forget it. */
const quiet = (upstream: Upstream): Upstream => ({
  ...upstream,
  service: upstream.service && {
    get: () => upstream.service!.get(),
    accepted: () => {},
    rejected: () => {},
  },
})

function judgeRefusal(what: string, { status, body }: UpstreamRefusal, hasCredential: boolean): Finding {
  if (status === 401) return fine(`${what} wants credentials (401), which clients bring`)
  if (status === 200) {
    const said = body
      .toString('latin1')
      .replaceAll(/[^ -~]+/g, ' ')
      .trim()
      .slice(0, 200)
    return wrong(`${what} refuses with a message: ${said}`)
  }
  const reason = `${what} answers with status ${status}`
  if (hasCredential)
    return wrong(`${reason}: it is not there, or refstream's credential may not read it; check both`)
  return warning(`${reason} without credentials: it is not there, or is shown to some clients only`)
}

function reasonOf({ name: host }: Upstream, error: unknown, limitMs: number): string {
  const { name, message } = error as Error
  return name === 'TimeoutError'
    ? `no whole answer within ${limitMs / 1000} s`
    : message.replace(`${host}: `, '')
}

/** What to do about an error, by its message; the first that applies. Codes are those of OpenSSL and Node (tls). */
const advice: readonly (readonly [pattern: RegExp, text: string])[] = [
  [/credential/, 'see --upstream-credential-file'],
  [/CERT_HAS_EXPIRED/, "have its certificate renewed, or set this machine's clock"],
  [/CERT_NOT_YET_VALID/, "set this machine's clock, or that of what has made the certificate"],
  [
    /ALTNAME/,
    'its certificate is for another name: give the URL with that name, or have the certificate corrected',
  ],
  [
    /UNABLE_TO_|SELF_SIGNED|CERT_|ISSUER/,
    'give the authority that has signed its certificate by --upstream-ca',
  ],
]

function adviceFor(error: unknown): string {
  if (error instanceof NotSmart) return 'is the path of --upstream right, and is it a Git server?'
  return (
    advice.find(([pattern]) => pattern.test((error as Error).message))?.[1] ??
    'is the URL right, does the server run, and does a firewall or a proxy (HTTPS_PROXY) let this machine connect?'
  )
}
