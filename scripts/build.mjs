// Compiles src/ to dist/, and copies the other files that the compiled program reads or runs.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const top = fileURLToPath(new URL('..', import.meta.url))

rmSync(`${top}dist`, { recursive: true, force: true })
const { status } = spawnSync('npx', ['--no-install', 'tsc', '-p', 'tsconfig.build.json'], {
  cwd: top,
  stdio: ['ignore', 'inherit', 'inherit'],
})
if (status !== 0) process.exit(1)

/** Shell scripts and protocol definitions; they are copied with their modes. */
const isAsset = (path) => statSync(path).isDirectory() || !/\.c?ts$/.test(path)
cpSync(`${top}src`, `${top}dist`, { recursive: true, filter: isAsset })
// The compiler sets no execute permission, and these two are run by their names.
for (const name of ['main.js', 'refstream.cjs']) chmodSync(`${top}dist/cli/${name}`, 0o755)
