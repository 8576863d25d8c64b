import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePorts } from '../free-ports.js'
import type { EngineAddress } from '../../../src/config/values/fleet.js'
import { EtcdEngine, type EtcdEngineOptions } from '../../../src/fleet/engines/etcd/etcd-engine.js'
import { eventually } from '../eventually.js'
import { serverPath, skipReason } from '../upstreams/programs.js'
import { tempDir } from '../temp-dir.js'

const environment = { ...process.env, PATH: serverPath }
const missing = [
  ['etcd', '--version', 'etcd-server'],
  ['etcdctl', 'version', 'etcd-client'],
].filter(([program = '', argument = '']) => spawnSync(program, [argument], { env: environment }).status !== 0)

/** Why tests that need etcd are skipped, or false. */
export const skipEtcd = skipReason(
  'etcd',
  missing.length === 0 ? undefined : `not installed: ${missing.map(([, , name]) => name).join()}`,
)

/** A running member of an etcd cluster, which ends with its test. */
export class EtcdServer {
  readonly port: number
  /** Its data. */
  readonly directory: string
  readonly #args: readonly string[]
  #child: ChildProcess | undefined

  constructor(port: number, directory: string, args: readonly string[]) {
    this.port = port
    this.directory = directory
    this.#args = args
  }

  /** Resolves when it serves clients. @throws with etcd's log if it ends instead */
  async start(): Promise<void> {
    // No fsync, since nothing has to survive the machine; short elections permit leases of one second.
    const args = [
      ...['--data-dir', this.directory, '--unsafe-no-fsync', '--logger', 'zap', '--log-level', 'info'],
      ...['--heartbeat-interval', '50', '--election-timeout', '500', ...this.#args],
    ]
    const child = spawn('etcd', args, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    let log = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr.on('data', (data: Buffer) => {
        log += data.toString()
        if (log.includes('serving client traffic')) resolve()
        log = log.slice(-20_000)
      })
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`etcd has ended: ${log}`)))
    })
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }

  /** Kills it and removes its data. */
  async lose(): Promise<void> {
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** Runs etcdctl against this member. @returns what it prints */
  control(...args: string[]): string {
    const { status, stdout, stderr } = spawnSync(
      'etcdctl',
      ['--endpoints', `127.0.0.1:${this.port}`, ...args],
      {
        env: { ...environment, ETCDCTL_API: '3' },
        encoding: 'utf8',
      },
    )
    if (status !== 0) throw new Error(`etcdctl ${args.join(' ')}: ${stderr}`)
    return stdout
  }
}

/** Starts etcd with one member. @param files of TLS for clients */
export async function startEtcd(
  t: Test,
  files?: { readonly cert: string; readonly key: string; readonly ca: string },
): Promise<EtcdServer> {
  const tls = files
    ? [
        '--cert-file',
        files.cert,
        '--key-file',
        files.key,
        '--client-cert-auth',
        '--trusted-ca-file',
        files.ca,
      ]
    : []
  const [server] = await startMembers(t, 1, tls)
  return server!
}

/** Starts an etcd cluster. */
export async function startMembers(
  t: Test,
  members: number,
  more: readonly string[] = [],
): Promise<EtcdServer[]> {
  const ports = await freePorts(2 * members)
  const peers = ports.slice(members).map((port, index) => `m${index}=http://127.0.0.1:${port}`)
  const scheme = more.length > 0 ? 'https' : 'http'
  const directory = tempDir(t)
  const servers = peers.map((peer, index) => {
    const [name = '', url = ''] = peer.split('=')
    const client = `${scheme}://127.0.0.1:${ports[index]}`
    return new EtcdServer(ports[index]!, join(directory, name), [
      ...['--name', name, '--initial-cluster', peers.join(','), '--initial-advertise-peer-urls', url],
      ...['--listen-peer-urls', url, '--listen-client-urls', client, '--advertise-client-urls', client],
      ...more,
    ])
  })
  t.teardown(() => Promise.all(servers.map((server) => server.kill())))
  await Promise.all(servers.map((server) => server.start()))
  return servers
}

export const etcdAddress = (
  servers: readonly EtcdServer[],
  more: Partial<EngineAddress> = {},
): EngineAddress => ({
  kind: 'etcd',
  tls: false,
  hosts: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
  username: undefined,
  password: undefined,
  path: undefined,
  ...more,
})

/** Opens an engine that is closed with the test. */
export function openEngine(
  t: Test,
  options: Partial<EtcdEngineOptions> & { address: EngineAddress },
): EtcdEngine {
  const engine = new EtcdEngine({ fleet: 'test', ...options })
  t.teardown(() => engine.close())
  return engine
}

/** Resolves when an engine hears of changes; from then on it hears of all. */
export async function watches(engine: EtcdEngine): Promise<void> {
  let hasHeard = false
  const stop = engine.watch(() => (hasHeard = true))
  await eventually('a hint comes', async () => {
    await engine.change('poke').catch(() => undefined)
    return hasHeard
  })
  stop()
}
