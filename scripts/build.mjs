// Compiles src/ to dist/, copies the other files that the compiled program reads or runs, and bundles it (bundle.mjs).
// With --if-stale, only if a source, or what decides how it is compiled, has changed since dist/ was built.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { bundle } from './bundle.mjs'

const top = fileURLToPath(new URL('..', import.meta.url))
const settings = [
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/build.mjs',
  'scripts/bundle.mjs',
]

if (!process.argv.includes('--if-stale') || isStale()) await build()

/** Compares with the modification time of dist/ itself, which is when its build began. */
function isStale() {
  const built = statSync(`${top}dist`, { throwIfNoEntry: false })?.mtimeMs
  if (built === undefined) return true
  // A directory, too, changes when a file is renamed or removed.
  const sources = readdirSync(`${top}src`, { recursive: true }).map((name) => `src/${name}`)
  // A copy may keep the modification time of its original; the change time is always the copy's own.
  return [...settings, 'src', ...sources].some((path) => statSync(top + path).ctimeMs >= built)
}

async function build() {
  const began = new Date()
  rmSync(`${top}dist`, { recursive: true, force: true })
  const { status } = spawnSync('npx', ['--no-install', 'tsc', '-p', 'tsconfig.build.json'], {
    cwd: top,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) {
    // The compiler writes files in spite of errors.
    rmSync(`${top}dist`, { recursive: true, force: true })
    process.exit(1)
  }
  cpSync(`${top}src`, `${top}dist`, { recursive: true, filter: isAsset })
  // The compiler sets no execute permission, and these two are run by their names.
  for (const name of ['main.js', 'refstream.cjs']) chmodSync(`${top}dist/cli/${name}`, 0o755)
  await bundle(top)
  utimesSync(`${top}dist`, began, began)
}

/** Shell scripts, protocol definitions, the files of the live page; they are copied with their modes. */
function isAsset(path) {
  return statSync(path).isDirectory() || !/\.c?ts$/.test(path)
}
