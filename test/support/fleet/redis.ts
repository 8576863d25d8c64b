import type { Test } from 'tap'
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePorts } from '../free-ports.js'
import type { EngineAddress } from '../../../src/config/values/fleet.js'
import type { Pair } from '../certificates.js'
import { eventually } from '../eventually.js'
import { tempDir } from '../temp-dir.js'

const programs = ['redis-server', 'redis-cli', 'redis-sentinel']

/** Why tests with real servers are skipped; false: they are not. */
export const skipRedis: string | false = programs.every(
  (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0,
)
  ? false
  : 'redis-server, redis-cli or redis-sentinel is not installed'

export interface RedisOptions {
  /** Listens with TLS only; clients need a certificate of the authority too. */
  readonly tls?: Pair & { readonly ca: string }
  /** Lines of an ACL file, besides an `admin` for the test itself. Without them all may do all. */
  readonly users?: readonly string[]
  /** Keeps its data over a restart. */
  readonly isPersistent?: boolean
  readonly isCluster?: boolean
  /** Further lines of its configuration. */
  readonly lines?: readonly string[]
}

/** A server for one test. */
export interface RedisServer {
  readonly port: number
  readonly address: EngineAddress
  /** Runs a command as administrator. @returns its answer as redis-cli prints it */
  readonly command: (...command: string[]) => Promise<string>
  /** Stops it with SIGSTOP, so that it accepts and does not answer. */
  pause(): void
  resume(): void
  kill(): Promise<void>
  /** Starts it again after kill(), at the same port. */
  start(): Promise<void>
}

const run = promisify(execFile)

/** Starts redis-server on a free port of 127.0.0.1; it ends with the test. */
export async function startRedis(t: Test, options: RedisOptions = {}): Promise<RedisServer> {
  const { tls, users } = options
  const directory = tempDir(t)
  const [port, busPort] = await freePorts(2)
  const socket = join(directory, 's')
  const configuration = join(directory, 'redis.conf')
  const listen = tls
    ? [`port 0`, `tls-port ${port}`, `tls-cert-file ${tls.cert}`, `tls-key-file ${tls.key}`]
    : [`port ${port}`]
  const lines = [
    ...[...listen, `bind 127.0.0.1`, `unixsocket ${socket}`, `dir ${directory}`],
    ...(tls ? [`tls-ca-cert-file ${tls.ca}`] : []),
    ...(options.isPersistent ? ['appendonly yes', 'appendfsync always'] : ['save ""', 'appendonly no']),
    ...(options.isCluster ? ['cluster-enabled yes', `cluster-port ${busPort}`] : []),
    // A full synchronization would otherwise wait 5 s for further replicas.
    'repl-diskless-sync-delay 0',
    ...(users ? [`aclfile ${join(directory, 'users')}`] : []),
    ...(options.lines ?? []),
  ]
  writeFileSync(configuration, `${lines.join('\n')}\n`)
  if (users) {
    const all = ['user default off', `user admin on >${adminPassword} ~* &* +@all`, ...users]
    writeFileSync(join(directory, 'users'), `${all.join('\n')}\n`)
  }
  const login = users ? ['--user', 'admin', '--pass', adminPassword, '--no-auth-warning'] : []
  const command = async (...command: string[]): Promise<string> =>
    (await run('redis-cli', ['-s', socket, ...login, ...command])).stdout.trim()
  const process_ = new ServerProcess(t, 'redis-server', [configuration], () => answers(command))
  await process_.start()
  return {
    ...{ port: port!, command },
    address: {
      ...{ kind: 'redis', tls: tls !== undefined, hosts: [{ host: '127.0.0.1', port: port! }] },
      ...{ username: undefined, password: undefined, path: undefined },
    },
    pause: () => process_.signal('SIGSTOP'),
    resume: () => process_.signal('SIGCONT'),
    kill: () => process_.kill(),
    start: () => process_.start(),
  }
}

const adminPassword = 'the-password-of-the-test'

const answers = async (command: RedisServer['command']): Promise<boolean> =>
  command('PING').then(
    (answer) => answer === 'PONG',
    () => false,
  )

/** Makes a server the replica of another one, and waits until it has its data. */
export async function replicate(replica: RedisServer, master: RedisServer): Promise<void> {
  await replica.command('REPLICAOF', '127.0.0.1', String(master.port))
  await eventually('the replica has the data', async () =>
    (await replica.command('INFO', 'replication')).includes('master_link_status:up'),
  )
}

export interface SentinelOptions {
  readonly count?: number
  /** Further lines of their configuration. */
  readonly lines?: readonly string[]
  /** What the sentinels themselves demand. */
  readonly user?: string
  readonly password?: string
}

/** Starts sentinels that watch a master named `main`. @returns the address for an engine */
export async function startSentinels(
  t: Test,
  master: RedisServer,
  { count = 1, lines = [], user, password }: SentinelOptions = {},
): Promise<{ address: EngineAddress; command: RedisServer['command'] }> {
  const login = user && password ? ['--user', user, '--pass', password, '--no-auth-warning'] : []
  const directory = tempDir(t)
  const ports = await freePorts(count)
  for (const port of ports) {
    const own = join(directory, String(port))
    mkdirSync(own)
    const configuration = join(own, 'sentinel.conf')
    const all = [
      ...[`port ${port}`, 'bind 127.0.0.1', `dir ${own}`],
      `sentinel monitor main 127.0.0.1 ${master.port} ${Math.floor(count / 2) + 1}`,
      ...['sentinel down-after-milliseconds main 300', 'sentinel failover-timeout main 1000'],
      ...lines,
    ]
    writeFileSync(configuration, `${all.join('\n')}\n`)
    const ready = (): Promise<boolean> => answers((...command) => commandAt(port, ...login, ...command))
    await new ServerProcess(t, 'redis-sentinel', [configuration], ready).start()
  }
  const hosts = ports.map((port) => ({ host: '127.0.0.1', port }))
  return {
    address: {
      ...{ kind: 'redis-sentinel', tls: false, hosts, path: 'main' },
      ...{ username: undefined, password: undefined },
    },
    command: (...command) => commandAt(ports[0]!, ...login, ...command),
  }
}

async function commandAt(port: number, ...command: string[]): Promise<string> {
  return (await run('redis-cli', ['-p', String(port), ...command])).stdout.trim()
}

/** Starts a cluster of three masters. */
export async function startCluster(
  t: Test,
): Promise<{ address: EngineAddress; servers: readonly RedisServer[] }> {
  const lines = ['cluster-node-timeout 2000', 'cluster-require-full-coverage no']
  const start = (): Promise<RedisServer> => startRedis(t, { isCluster: true, lines })
  const servers = await Promise.all([start(), start(), start()])
  await Promise.all(
    servers.map(async ({ command }, index) => {
      const from = Math.floor((index * 16_384) / 3)
      const to = Math.floor(((index + 1) * 16_384) / 3)
      await command('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to - 1))
      await command('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
    }),
  )
  const buses = await Promise.all(
    servers.map(async ({ command }) => /@(\d+)/.exec(await command('CLUSTER', 'NODES'))![1]!),
  )
  for (const [index, { port }] of servers.slice(1).entries())
    await servers[0].command('CLUSTER', 'MEET', '127.0.0.1', String(port), buses[index + 1]!)
  for (const { command } of servers) {
    await eventually('the cluster is complete', async () => {
      const info = await command('CLUSTER', 'INFO')
      return info.includes('cluster_state:ok') && info.includes('cluster_slots_ok:16384')
    })
  }
  const hosts = servers.map(({ port }) => ({ host: '127.0.0.1', port }))
  const address: EngineAddress = {
    ...{ kind: 'redis-cluster', tls: false, hosts, path: undefined },
    ...{ username: undefined, password: undefined },
  }
  return { address, servers }
}

class ServerProcess {
  readonly #program: string
  readonly #args: readonly string[]
  readonly #isReady: () => Promise<boolean>
  #child: ChildProcess | undefined

  constructor(t: Test, program: string, args: readonly string[], isReady: () => Promise<boolean>) {
    this.#program = program
    this.#args = args
    this.#isReady = isReady
    t.teardown(() => this.kill())
  }

  async start(): Promise<void> {
    const child = spawn(this.#program, this.#args, { stdio: ['ignore', 'pipe', 'ignore'] })
    this.#child = child
    let said = ''
    child.stdout.on('data', (data: Buffer) => (said = `${said}${data}`.slice(-2000)))
    await eventually(`${this.#program} answers`, () => {
      if (child.exitCode !== null) throw new Error(`${this.#program} has ended: ${said}`)
      return this.#isReady()
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }
}
