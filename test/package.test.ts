import t from 'tap'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from './support/temp-dir.js'

interface Manifest {
  readonly bin: { readonly refstream: string }
  readonly scripts: { readonly prepare: string }
}
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest

t.test('npm publishes the command and its assets, and no source map', async (t) => {
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'], {
    encoding: 'utf8',
  })
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }]
  const paths = files.map(({ path }) => path)
  const assets = [
    'dist/admin/page/index.html',
    'dist/git/hook/reference-transaction',
    'dist/grpc/proto/ref_service.proto',
    'dist/program/command.js',
    'dist/program/LICENSES.txt',
    'docs/settings.md',
  ]
  for (const needed of [manifest.bin.refstream, 'dist/index.d.ts', ...assets, 'SECURITY.md']) {
    t.ok(paths.includes(needed), needed)
  }
  t.same(
    paths.filter((path) => /\.map$|^(src|test|scripts)\//.test(path)),
    [],
  )
  const mapped = readdirSync('dist', { recursive: true, encoding: 'utf8' }).filter(
    (path) => /\.c?js$/.test(path) && readFileSync(join('dist', path), 'utf8').includes('sourceMappingURL'),
  )
  t.same(mapped, [])
})

t.test('the licence of every package in the bundle is in the package, and npm knows the packages', (t) => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object }
  const licences = readFileSync('dist/program/LICENSES.txt', 'utf8')
  const bundled = readdirSync('dist/program')
    .filter((name) => name.endsWith('.js'))
    .flatMap((name) => [
      ...readFileSync(`dist/program/${name}`, 'utf8').matchAll(/^\/\/ node_modules\/((?:@[^/]+\/)?[^/]+)/gm),
    ])
    .map(([, name = '']) => name)
  for (const name of ['zod', 'pino', ...new Set(bundled)])
    t.match(licences, new RegExp(`^${name} \\d`, 'm'), name)
  for (const name of ['commander', 'lru-cache', 'pino', 'prom-client', 'zod'])
    t.ok(bundled.includes(name) && name in dependencies, name)
  t.end()
})

t.test('the programs in dist/cli are executable', (t) => {
  for (const name of ['main.js', 'refstream', 'refstream.cjs', 'supervise'])
    t.equal(statSync(join('dist/cli', name)).mode & 0o111, 0o111, name)
  t.end()
})

t.test(
  'prepare builds a checkout, fails if it cannot, and does nothing where there is no source',
  async (t) => {
    const prepare = (directory: string, environment: NodeJS.ProcessEnv = {}) =>
      spawnSync('sh', ['-c', manifest.scripts.prepare], {
        cwd: directory,
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], ...environment },
      })
    const directory = tempDir(t)
    cpSync('package.json', join(directory, 'package.json'))
    t.match(prepare(directory), { status: 0, stderr: '' }, 'package.json alone, as in a layer of a container')
    mkdirSync(join(directory, 'scripts'))
    cpSync('scripts/prepare.mjs', join(directory, 'scripts/prepare.mjs'))
    t.match(prepare(directory), { status: 0, stderr: '' }, 'no source')

    mkdirSync(join(directory, 'src'))
    cpSync('tsconfig.build.json', join(directory, 'tsconfig.build.json'))
    t.match(prepare(directory), {
      status: 1,
      stderr: /not built, and its compiler is not installed: run make/,
    })
    mkdirSync(join(directory, 'dist/cli'), { recursive: true })
    writeFileSync(join(directory, 'dist/cli/main.js'), '')
    t.match(prepare(directory), { status: 0, stderr: '' }, 'built elsewhere')

    // A fake npm prints its arguments, and installs a compiler for `npm ci`.
    const bin = join(directory, 'bin')
    mkdirSync(bin)
    const fake =
      '#!/bin/sh\necho "npm $* global=$npm_config_global" >&2\n[ "$1" != ci ] || mkdir -p node_modules/typescript\n'
    writeFileSync(join(bin, 'npm'), fake, { mode: 0o755 })
    const PATH = `${bin}:${process.env['PATH']}`
    const { status, stdout, stderr } = prepare(directory, { PATH, npm_config_global: 'true' })
    t.same([status, stdout], [0, ''])
    t.same(stderr.trimEnd().split('\n'), [
      'npm ci --ignore-scripts --no-audit --no-fund global=',
      'npm run --silent build global=',
    ])
    writeFileSync(join(bin, 'npm'), '#!/bin/sh\nexit 7\n')
    t.match(prepare(directory, { PATH }), { status: 1, stderr: /npm run --silent build failed/ })
  },
)
