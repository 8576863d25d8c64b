// Builds Gitea from the Go module proxy into ~/.cache/refstream-test/, for the tests: `make gitea`. Takes about three
// minutes of two cores, 2 GB of disk in Go's caches, and needs Go 1.26 and a C compiler (for SQLite).
//
// The module has all but the web interface's scripts and styles, which tests do not need: `options/` and `templates/`
// are copied beside the binary, and gitea.ts names the place in STATIC_ROOT_PATH. 1.26.0 is the last version that can be
// had so: the module of later ones has another path than its go.mod says.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export const giteaVersion = '1.26.0'
/** As `go.sum` would have it. */
const checksum = 'h1:fJP9dqLbzKrKWUVnCVTfVersZdVDuyJQLEDzCAOmKKA='

const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
/** Holds the binary `gitea`, and what it reads at run time. */
export const giteaPlace = join(cache, 'refstream-test', `gitea-${giteaVersion}`)

function build() {
  if (existsSync(join(giteaPlace, 'gitea'))) return console.log(`is there already: ${giteaPlace}`)
  const go = findGo()
  const module = `code.gitea.io/gitea@v${giteaVersion}`
  const { Dir: source, Sum: sum } = JSON.parse(run(go, ['mod', 'download', '-json', module], tmpdir()))
  if (sum !== checksum) throw new Error(`${module} has the checksum ${sum} instead of ${checksum}`)

  const place = `${giteaPlace}.part`
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  console.log(`building ${module}: this takes some minutes`)
  const flags = ['-ldflags', `-s -w -X main.Version=${giteaVersion}`, '-tags', 'sqlite sqlite_unlock_notify']
  run(
    'nice',
    [go, 'build', '-mod=readonly', '-buildvcs=false', ...flags, '-o', join(place, 'gitea'), '.'],
    source,
  )
  for (const name of ['options', 'templates', 'public', 'LICENSE']) {
    cpSync(join(source, name), join(place, name), { recursive: true })
  }
  // Go's module cache is read-only, and so is each copy of its directories.
  run('chmod', ['-R', 'u+w', place])
  renameSync(place, giteaPlace)
  console.log(`built: ${giteaPlace}`)
}

function findGo() {
  const found = ['go', '/usr/local/go/bin/go'].find((go) => spawnSync(go, ['version']).status === 0)
  if (!found) throw new Error('Go is not installed: https://go.dev/doc/install')
  return found
}

function run(command, args, cwd) {
  const env = { ...process.env, CGO_ENABLED: '1' }
  const { status, stdout, error } = spawnSync(command, args, {
    ...{ cwd, env, encoding: 'utf8' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`${command} ${args[0]}: ${error?.message ?? `exit code ${status}`}`)
  return stdout
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    build()
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
