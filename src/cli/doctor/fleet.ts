import { statSync } from 'node:fs'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect } from 'node:net'
import { openEngine } from '../../assembly/fleet/engine.js'
import { readFleetFiles, type PeerCertificates } from '../../assembly/fleet/files.js'
import type { EngineAddress } from '../../config/values/fleet.js'
import type { Settings } from '../../config/options/options.js'
import { judgeExpiry } from './certificates.js'
import { readDate, type ClockReading } from './clock.js'
import { fine, wrong, type Finding } from './finding.js'
import { serverExpiry } from './server-certificate.js'

/** Milliseconds in which another node must accept a connection. */
const connectMs = 2000

/**
 * Checks what this host can know of a fleet: the engine, the other nodes' addresses, certificates and clocks, and who can read
 * the secret.
 * @param readings gets what the clocks of other nodes have shown
 */
export async function checkFleet(settings: Settings, readings: ClockReading[] = []): Promise<Finding[]> {
  const { fleet, fleetMembers = [], fleetNode, fleetSecretFile } = settings
  if (!fleet) return []
  const others = fleetMembers.filter(({ name }) => name !== fleetNode)
  const { tls } = readFleetFiles(settings)
  const checks = [
    checkEngine(fleet, settings).then((finding) => [finding]),
    ...others.map(({ name, url }) => checkMember(name, url, tls, readings)),
  ]
  const secret = fleetSecretFile === undefined ? [] : [checkSecret(fleetSecretFile)]
  return [...(await Promise.all(checks)).flat(), ...secret]
}

async function checkEngine(address: EngineAddress, settings: Settings): Promise<Finding> {
  const { kind, hosts } = address
  // Without user name and password.
  const where = `${kind} at ${hosts.map(({ host, port }) => `${host}:${port}`).join(', ')}`
  // The engines' own timers do not keep a process alive.
  const alive = setInterval(() => {}, 1000)
  try {
    const engine = await (await openEngine(address, settings))()
    await engine.close()
    return fine(`fleet engine: ${where} answers`)
  } catch (error) {
    return wrong(
      `fleet engine: ${where} does not answer: ${oneLine(error)}; until it does, each node works alone`,
    )
  } finally {
    clearInterval(alive)
  }
}

/** A node that is not started yet is no fault of this one; what listens there proves itself to nodes only. */
async function checkMember(
  name: string,
  url: string,
  tls: PeerCertificates | undefined,
  readings: ClockReading[],
): Promise<Finding[]> {
  const what = `fleet member ${name}`
  try {
    await connectTo(url)
  } catch (error) {
    return [
      wrong(
        `${what}: cannot be reached at ${url}: ${oneLine(error)}; is it started, is its --peer that address, and does a firewall permit it?`,
      ),
    ]
  }
  const accepts = fine(`${what}: accepts connections at ${url}`)
  if (url.startsWith('unix:')) return [accepts]
  const reading = await readClock(what, url, tls)
  if (reading) readings.push(reading)
  const expiresMs = url.startsWith('https:') ? await serverExpiry(new URL(url)) : undefined
  if (expiresMs === undefined) return [accepts]
  const then = 'the other nodes refuse it; renew it there'
  return [accepts, judgeExpiry(`${what}: its certificate`, expiresMs, then)]
}

/** Resolves with the time that a node's answer has; undefined: it gives none, for whatever reason. */
function readClock(
  what: string,
  url: string,
  tls: PeerCertificates | undefined,
): Promise<ClockReading | undefined> {
  const since = Date.now()
  // Only the time is wanted, and nothing is sent: a certificate that has expired does not keep it secret.
  const secure = { ...tls, rejectUnauthorized: false }
  const request = url.startsWith('https:') ? requestHttps : requestHttp
  return new Promise((resolve) => {
    const options = { agent: false as const, signal: AbortSignal.timeout(connectMs), ...secure }
    request(url, options, ({ headers, socket }) => {
      socket.destroy()
      resolve(readDate(what, headers.date, since))
    })
      .on('error', () => resolve(undefined))
      .end()
  })
}

function connectTo(url: string): Promise<void> {
  const target = url.startsWith('unix:') ? { path: url.slice('unix:'.length) } : addressOf(new URL(url))
  return new Promise((resolve, reject) => {
    const socket = connect(target)
    socket.setTimeout(connectMs, () =>
      socket.destroy(new Error(`no connection within ${connectMs / 1000} s`)),
    )
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
  })
}

const addressOf = ({ hostname, port, protocol }: URL) => ({
  host: hostname.replace(/^\[|\]$/g, ''),
  port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
})

/** Bits of a file's mode by which users other than its owner and group may read it. */
const othersRead = 0o004

function checkSecret(path: string): Finding {
  if ((statSync(path).mode & othersRead) === 0)
    return fine(`fleet secret: ${path}, not readable by all users`)
  return wrong(`fleet secret: every user of this machine can read ${path}: chmod o-r ${path}`)
}

const oneLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ').slice(0, 300)
