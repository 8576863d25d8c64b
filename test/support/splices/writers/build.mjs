// Gets the libraries with which tests change refs, into ~/.cache/refstream-test/ref-writers/: `make ref-writers`. Takes about
// a minute. go-git needs Go, JGit needs a JDK and Maven, libgit2 (pygit2) and dulwich need Python; what is missing is left out.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
export const writersPlace = join(cache, 'refstream-test', 'ref-writers')

const here = fileURLToPath(new URL('.', import.meta.url))

const builds = {
  'go-git': (place) => {
    mkdirSync(place)
    run('go', ['build', '-mod=readonly', '-o', join(place, 'refs'), '.'], join(here, 'go-git'))
  },
  jgit: (place) => {
    mkdirSync(place)
    const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${join(place, 'jars')}`]
    run('mvn', ['-q', '-B', '-f', join(here, 'jgit-pom.xml'), ...copy], place)
    run('javac', ['-cp', join(place, 'jars/*'), '-d', place, join(here, 'JgitRefs.java')], place)
  },
  python: (place) => {
    run('python3', ['-m', 'venv', place], here)
    run(join(place, 'bin/pip'), ['install', '--quiet', 'dulwich==1.2.21', 'pygit2==1.21.0'], place)
  },
}

function build() {
  mkdirSync(writersPlace, { recursive: true })
  for (const [name, make] of Object.entries(builds)) {
    const place = join(writersPlace, name)
    if (existsSync(place)) {
      console.log(`is there already: ${place}`)
      continue
    }
    try {
      // A virtual environment of Python knows its own path.
      const part = name === 'python' ? place : `${place}.part`
      rmSync(part, { recursive: true, force: true })
      make(part)
      if (part !== place) renameSync(part, place)
      console.log(`built: ${place}`)
    } catch (error) {
      console.error(`${name} is left out: ${error.message}`)
      rmSync(place, { recursive: true, force: true })
    }
  }
}

function run(command, args, cwd) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error(`${command} ${args[0]}: ${error?.message ?? `exit code ${status}`}`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) build()
