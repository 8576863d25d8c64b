// The package as npm installs it: without this checkout, its compiler, and its build.
import t from 'tap'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { makeRepository } from '../support/repositories.js'
import { cleanEnvironment } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { skipReason } from '../support/upstreams/programs.js'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
const place = tempDir(t)
const prefix = join(place, 'prefix')

/** @returns why the package could not be installed if that is the registry's absence; throws for other reasons */
function install(): string | undefined {
  const pack = ['pack', '--ignore-scripts', '--offline', '--pack-destination', place]
  const packed = spawnSync('npm', pack, { encoding: 'utf8' })
  if (packed.status !== 0) throw new Error(packed.stderr)
  const tarball = join(place, packed.stdout.trim())
  // A registry that cannot be reached would be asked for minutes.
  const patience = ['--prefer-offline', '--fetch-retries=0', '--fetch-timeout=20000']
  const args = ['install', '--global', '--prefix', prefix, '--no-audit', '--no-fund', ...patience, tarball]
  const { status, stderr } = spawnSync('npm', args, { cwd: place, encoding: 'utf8', timeout: 90_000 })
  if (status === 0) return undefined
  const unreachable = /E(NOTFOUND|CONNREFUSED|TIMEDOUT|NETUNREACH|HOSTUNREACH|AI_AGAIN)|ETARGET|network/.exec(
    stderr,
  )
  if (status === null || unreachable) return `no registry can be reached: ${unreachable?.[0] ?? 'time limit'}`
  throw new Error(stderr)
}

const skip = skipReason('an installed package', install())
const environment = {
  ...cleanEnvironment,
  PATH: [join(prefix, 'bin'), dirname(process.execPath), cleanEnvironment['PATH']].join(delimiter),
  HOME: place,
}
const run = (command: string, ...args: string[]) =>
  spawnSync(command, args, { env: environment, encoding: 'utf8' })

t.test('the installed command says its version, and what to do next', { skip }, async (t) => {
  t.match(run('refstream', '--version'), { status: 0, stdout: `${version}\n`, stderr: '' })
  t.match(run('refstream', 'serve'), { status: 2, stderr: 'refstream serve --root ' })
  t.match(run('refstream', 'completion', 'bash'), { status: 0, stdout: 'complete ' })
  t.match(readFileSync(join(prefix, 'share/man/man1/refstream.1'), 'utf8'), '.Nm refstream')
  const installed = dirname(dirname(dirname(realpathSync(join(prefix, 'bin/refstream')))))
  t.notOk(existsSync(join(installed, 'node_modules/typescript')), 'without what only developers need')
})

t.test('the installed command serves a clone', { skip }, async (t) => {
  const root = join(place, 'repositories')
  makeRepository(root, 'r.git', { exported: false })
  const args = ['serve', '--root', root, '--export-all', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0']
  const child = spawn('refstream', args, { env: environment, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = once(child, 'close')
  for await (const line of createInterface(child.stdout)) {
    const { msg, url, admin } = JSON.parse(line) as Record<string, string>
    if (msg !== 'listening') continue
    t.match(run('refstream', 'ready', '--admin', String(admin)), { status: 0 })
    t.match(run('git', 'clone', '-q', `${url}/r.git`, join(place, 'clone')), { status: 0, stderr: '' })
    t.ok(existsSync(join(place, 'clone/.git/HEAD')))
    break
  }
  child.kill('SIGTERM')
  t.same(await ended, [0, null])
})
