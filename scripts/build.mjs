// Compiles src/ to dist/, and puts beside the compiled files what they read or run and no compiler makes.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, readdirSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const top = fileURLToPath(new URL('..', import.meta.url))

rmSync(`${top}dist`, { recursive: true, force: true })
const { status } = spawnSync('npx', ['--no-install', 'tsc', '-p', 'tsconfig.build.json'], {
  cwd: top,
  stdio: ['ignore', 'inherit', 'inherit'],
})
if (status !== 0) process.exit(1)

/** Programs of /bin/sh and protocol definitions keep their modes. */
const isAsset = (path) => statSync(path).isDirectory() || !/\.c?ts$/.test(path)
cpSync(`${top}src`, `${top}dist`, { recursive: true, filter: isAsset })
// Old directories keep none of a source's: only the command is run by its name.
for (const name of readdirSync(`${top}dist/cli`)) {
  if (/^(main\.js|refstream\.cjs)$/.test(name)) chmodSync(`${top}dist/cli/${name}`, 0o755)
}
