import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../support/free-ports.js'
import { eventually } from '../support/eventually.js'
import { skipRedis } from '../support/fleet/redis.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { addPackedBranches, git, makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const fixture = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../fixtures/fleet/${name}`, import.meta.url)), 'utf8')

interface Service {
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly secrets: readonly string[]
}

/** Reads the services of compose.yaml: of YAML, only the form that this file has. */
function servicesOf(compose: string): Map<string, Service> {
  const [, text = ''] = /^services:\n((?: .*\n|#.*\n)+)/m.exec(compose) ?? []
  const parts = text.split(/^ {2}(\w+):\n/m).slice(1)
  const services = new Map<string, Service>()
  for (let index = 0; index < parts.length; index += 2) {
    const field = (name: string): string | undefined =>
      new RegExp(`^ {4}${name}: (.*)$`, 'm').exec(parts[index + 1]!)?.[1]?.replaceAll("'", '"')
    const list = (name: string): string[] => JSON.parse(field(name) ?? '[]') as string[]
    const environment = field('environment')?.replaceAll(/(\w+):/g, '"$1":') ?? '{}'
    services.set(parts[index]!, {
      command: list('command'),
      environment: JSON.parse(environment) as Record<string, string>,
      secrets: list('secrets'),
    })
  }
  return services
}

/** Runs a program until the end of the test. */
function run(t: Test, command: string, args: readonly string[], environment: NodeJS.ProcessEnv): void {
  const child = spawn(command, args, { env: environment, stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
}

t.test('fixtures/fleet: two nodes and Redis; two clones cost one process', { skip: skipRedis }, async (t) => {
  const services = servicesOf(fixture('compose.yaml'))
  t.same([...services.keys()], ['redis', 'a', 'b'])
  const directory = tempDir(t)
  const root = tempDir(t)
  const repository = makeRepository(root, 'project.git')
  addPackedBranches(repository, 20)
  const wrapper = makeGitWrapper(t)
  wrapper.plan(undefined)
  const secret = join(directory, 'fleet-secret')
  writeFileSync(secret, 'the secret of the fixture', { mode: 0o600 })
  const [redis, ...free] = await freePorts(7)
  const toml = fixture('refstream.toml')
  const [server, ...args] = services.get('redis')!.command
  t.equal(server, 'redis-server')
  run(
    t,
    server!,
    [...args, '--port', String(redis), '--bind', '127.0.0.1', '--dir', directory],
    cleanEnvironment,
  )

  const nodes = ['a', 'b'].map((name, index) => {
    const [http, peer, admin] = free.slice(3 * index, 3 * index + 3)
    return { name, http, peer, admin }
  })
  for (const { name, http, peer, admin } of nodes) {
    const { command, environment, secrets } = services.get(name)!
    t.same(secrets, ['fleet'], 'is mounted at /run/secrets/fleet')
    // What the containers' network, mounts and names give.
    let settings = toml
    const replace = (what: string, by: string): void => {
      t.ok(settings.includes(what), `refstream.toml has ${what}`)
      settings = settings.replace(what, by)
    }
    replace('"/srv/git"', JSON.stringify(root))
    replace('"0.0.0.0:8080"', `"127.0.0.1:${http}"`)
    replace('redis:6379', `127.0.0.1:${redis}`)
    for (const other of nodes) replace(`http://${other.name}:8090`, `http://127.0.0.1:${other.peer}`)
    replace('/run/secrets/fleet', secret)
    replace('"0.0.0.0:8090"', `"127.0.0.1:${peer}"`)
    const file = join(directory, `${name}.toml`)
    writeFileSync(file, settings)
    const [started, ...given] = command
    t.equal(started, 'refstream')
    const own = ['--admin', `127.0.0.1:${admin}`, '--cache-dir', join(directory, name), '--git', wrapper.path]
    const all = given.map((each) => (each === '/etc/refstream.toml' ? file : each))
    run(t, process.execPath, [program, ...all, ...own, '--export-all'], {
      ...cleanEnvironment,
      ...environment,
    })
  }
  for (const { name, admin } of nodes) {
    await eventually(`${name} has its engine`, async () => {
      const answer = await fetch(`http://127.0.0.1:${admin}/metrics`).catch(() => undefined)
      return /^refstream_fleet_engine_up 1$/m.test((await answer?.text()) ?? '')
    })
  }
  for (const { name, http } of nodes) {
    const clone = join(directory, `clone-${name}`)
    git(directory, 'clone', '--quiet', '--no-tags', `http://127.0.0.1:${http}/project.git`, clone)
    t.equal(git(clone, 'rev-parse', 'HEAD'), git(repository, 'rev-parse', 'HEAD'))
  }
  const kinds = wrapper.runs().map(({ command, kind }) => `${command} ${kind}`)
  t.equal(kinds.length, 3, `capabilities, refs, a pack, once each: ${kinds.join(', ')}`)
})
