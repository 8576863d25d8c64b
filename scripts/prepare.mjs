// Builds what is installed or packed from a checkout: `npm install -g .`, `npm ci`, `npm pack`, a Git dependency. A tarball
// has been built, and npm does not run this for it.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const top = fileURLToPath(new URL('..', import.meta.url))
const has = (path) => existsSync(new URL(`../${path}`, import.meta.url))

/** Of the npm that runs this, only what concerns where packages come from: not that it installs globally, or what it omits. */
function environment() {
  const dropped =
    /^npm_config_(global|location|prefix|local_prefix|global_prefix|omit|include|production|only|json|dry_run)$/i
  const kept = Object.entries(process.env).filter(([name]) => !dropped.test(name) && name !== 'NODE_ENV')
  return Object.fromEntries(kept)
}

/** Its output goes to standard error: `npm pack --json` prints for programs. */
function npm(...args) {
  const { status, error } = spawnSync('npm', args, { cwd: top, env: environment(), stdio: ['ignore', 2, 2] })
  if (status === 0) return
  console.error(`refstream: npm ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`)
  process.exit(1)
}

/** Nothing to build: a container's first layer has package.json alone. */
const hasSource = has('src') && has('tsconfig.build.json')

if (hasSource) {
  if (!has('node_modules/typescript')) {
    // npm links a directory that it installs globally, and installs nothing into it. Without scripts, or this would run
    // itself.
    if (process.env.npm_config_global === 'true') npm('ci', '--ignore-scripts', '--no-audit', '--no-fund')
    else if (!has('dist/cli/main.js')) {
      console.error(
        'refstream: this checkout is not built, and its compiler is not installed: run make, or npm ci',
      )
      process.exit(1)
    }
  }
  if (has('node_modules/typescript')) npm('run', '--silent', 'build')
}
