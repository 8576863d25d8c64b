import t, { type Test } from 'tap'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cleanEnvironment, program, startSidecar, unbundled } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'

/** Writes the URL of each module that a program loads to a file, a line each. */
const recorder = (file: string): string => {
  const hooks = `
    import { appendFileSync } from 'node:fs'
    export const load = (url, context, next) => (appendFileSync(${JSON.stringify(file)}, url + '\\n'), next(url, context))
  `
  const register = `
    import { register } from 'node:module'
    register(${JSON.stringify(dataUrl(hooks))})
  `
  return `--import=${dataUrl(register)}`
}

const dataUrl = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`

/** What only a fleet needs. */
const ofFleets =
  /dist\/(?:assembly\/workers|fleet\/(?:engines|fills|peers\/\w+)|freshness\/fleet)\/|@redis|^node:cluster$/

/** What only `npm run docs` needs. */
const ofScripts = /dist\/telemetry\/monitoring\//

/** Resolves with the URLs of all modules that `serve` has loaded by the time at which it listens. */
async function modulesOf(t: Test, program: string, args: readonly string[] = []): Promise<string[]> {
  const file = join(tempDir(t), 'modules')
  const environment = { NODE_OPTIONS: recorder(file) }
  const sidecar = await startSidecar(t, tempDir(t), { program, args, environment })
  await sidecar.stop()
  return readFileSync(file, 'utf8').trim().split('\n')
}

void t.test('without settings of a fleet, nothing is loaded that only fleets need', async (t) => {
  const alone = await modulesOf(t, unbundled)
  t.ok(
    alone.some((url) => url.endsWith('dist/streamcache/cache.js')),
    'modules are recorded',
  )
  t.strictSame(
    alone.filter((url) => ofFleets.test(url)),
    [],
  )
  const primary = await modulesOf(t, unbundled, ['--workers', '2'])
  t.strictSame(
    [...alone, ...primary].filter((url) => ofScripts.test(url)),
    [],
    'alerts and dashboards are loaded by scripts only',
  )
  t.ok(
    primary.some((url) => ofFleets.test(url)),
    'those of a fleet are known by their names',
  )
})

/** Returns the packages of modules, without those that these use themselves. */
const packagesOf = (urls: readonly string[]): string[] => [
  ...new Set(urls.flatMap((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? [])),
]

void t.test('no package is loaded before a setting needs it', async (t) => {
  const always = ['commander', 'lru-cache', 'pino', 'prom-client', 'zod']
  t.strictSame(packagesOf(await modulesOf(t, unbundled)).sort(), always)
  const withGrpc = packagesOf(await modulesOf(t, unbundled, ['--grpc', '127.0.0.1:0']))
  t.ok(withGrpc.includes('@grpc/grpc-js'), 'packages are known by their names')
})

void t.test(
  'a start reads few files, none of them of a package',
  { skip: program === unbundled },
  async (t) => {
    const files = (await modulesOf(t, program)).filter((url) => url.startsWith('file:'))
    t.strictSame(packagesOf(files), [])
    t.ok(
      files.every((url) => /dist\/(?:program\/[\w-]+\.js|cli\/[\w-]+\.cjs)$/.test(url)),
      'they are those of the bundle',
    )
    // Each costs a third of a millisecond, and there are 430 modules in them.
    t.ok(files.length <= 80, `${files.length} files`)
  },
)

void t.test('commands for hooks and scripts load no settings', (t) => {
  for (const args of [
    ['--version'],
    ['hook', 'status', '.'],
    ['ready', '--help'],
    ['lease', 'run', '--help'],
  ]) {
    const file = join(tempDir(t), 'modules')
    const { status } = spawnSync(process.execPath, [unbundled, ...args], {
      env: { ...cleanEnvironment, NODE_OPTIONS: recorder(file) },
    })
    t.ok(status === 0 || args[0] === 'hook', args.join(' '))
    const urls = readFileSync(file, 'utf8').trim().split('\n')
    t.ok(
      urls.some((url) => url.endsWith('dist/cli/program.js')),
      'modules are recorded',
    )
    t.notOk(
      urls.some((url) => /dist\/config\/options\.js|node_modules\/(?:zod|pino|prom-client)\//.test(url)),
      args.join(' '),
    )
  }
  t.end()
})
