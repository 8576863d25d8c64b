import t from 'tap'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { program } from '../../support/sidecar.js'

/** The packages that a compiled file waits for, and the files that it imports: `import()` is not waited for. */
function packagesOf(file: URL, seen = new Set<string>()): Set<string> {
  if (seen.has(file.href)) return new Set()
  seen.add(file.href)
  const names = [...readFileSync(file, 'utf8').matchAll(/^(?:import|export)\b[^;]*?from '([^']+)';$/gm)]
  const found = names.map(([, name = '']) =>
    name.startsWith('.') ? packagesOf(new URL(name, file), seen) : [name],
  )
  return new Set(found.flatMap((each) => [...each]))
}

t.test('a sidecar starts without the packages that its settings do not need', async (t) => {
  const main = pathToFileURL(program)
  const packages = new Set(
    ['main.js', 'program.js', 'commands/serve.js'].flatMap((name) => [...packagesOf(new URL(name, main))]),
  )
  for (const needed of ['pino', 'zod', 'node:http']) t.ok(packages.has(needed), needed)
  for (const other of [
    '@grpc/grpc-js',
    '@grpc/reflection',
    'bcryptjs',
    'pino-pretty',
    'simple-git',
    'smol-toml',
  ]) {
    t.notOk(packages.has(other), other)
  }
})
