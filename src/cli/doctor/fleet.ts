import { statSync } from 'node:fs'
import { connect } from 'node:net'
import { openEngine } from '../../assembly/fleet/engine.js'
import type { EngineAddress } from '../../config/fleet-values.js'
import type { Settings } from '../../config/options.js'
import { fine, wrong, type Finding } from './finding.js'

/** Milliseconds in which another node must accept a connection. */
const connectMs = 2000

/** Checks what this host can know of a fleet: the engine, the other nodes' addresses, and who can read the secret. */
export async function checkFleet(settings: Settings): Promise<Finding[]> {
  const { fleet, fleetMembers = [], fleetNode, fleetSecretFile } = settings
  if (!fleet) return []
  const others = fleetMembers.filter(({ name }) => name !== fleetNode)
  const checks = [checkEngine(fleet, settings), ...others.map(({ name, url }) => checkMember(name, url))]
  const secret = fleetSecretFile === undefined ? [] : [checkSecret(fleetSecretFile)]
  return [...(await Promise.all(checks)), ...secret]
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
async function checkMember(name: string, url: string): Promise<Finding> {
  try {
    await connectTo(url)
    return fine(`fleet member ${name}: accepts connections at ${url}`)
  } catch (error) {
    return wrong(
      `fleet member ${name}: cannot be reached at ${url}: ${oneLine(error)}; is it started, is its --peer that address, and does a firewall permit it?`,
    )
  }
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
