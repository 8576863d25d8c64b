import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { tempDir } from './support/temp-dir.js'

const directory = tempDir(t)
const file = (name: string) => join(directory, name)
for (const name of [
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/build.mjs',
  'scripts/bundle.mjs',
])
  cpSync(name, file(name))
symlinkSync(resolve('node_modules'), file('node_modules'))
mkdirSync(file('src/cli'), { recursive: true })
writeFileSync(file('src/cli/main.ts'), 'export const number: number = 1\n')

const { entries } = (await import(pathToFileURL(file('scripts/bundle.mjs')).href)) as { entries: string[] }
for (const entry of entries) {
  mkdirSync(dirname(file(`src/${entry}`)), { recursive: true })
  writeFileSync(file(`src/${entry}.ts`), 'export {}\n')
}
writeFileSync(file('src/cli/refstream.cts'), 'void 0\n')
writeFileSync(file('src/other.ts'), 'export {}\n')

/** Runs the build if it is due. @returns did it build? */
function buildIfStale(): boolean {
  const mark = file('dist/cli/mark')
  if (existsSync(file('dist'))) writeFileSync(mark, '')
  const { status } = spawnSync(process.execPath, [file('scripts/build.mjs'), '--if-stale'])
  t.equal(status, 0)
  return !existsSync(mark)
}

t.test('--if-stale builds dist/ only if a source has changed since it was built', (t) => {
  t.ok(buildIfStale(), 'there is no dist/')
  t.notOk(buildIfStale())
  writeFileSync(file('src/cli/main.ts'), 'export const number: number = 2\n')
  const longAgo = new Date(0)
  utimesSync(file('src/cli/main.ts'), longAgo, longAgo)
  t.ok(buildIfStale(), 'a source has changed, though it has an old date')
  rmSync(file('src/other.ts'))
  t.ok(buildIfStale(), 'a source was removed')
  t.notOk(existsSync(file('dist/other.js')))
  t.end()
})

t.test('a build with errors fails and leaves no dist/', (t) => {
  writeFileSync(file('src/cli/main.ts'), "export const number: number = 'one'\n")
  const { status, stdout } = spawnSync(process.execPath, [file('scripts/build.mjs')], { encoding: 'utf8' })
  t.equal(status, 1)
  t.match(stdout, /main\.ts.*error TS2322/)
  t.notOk(existsSync(file('dist')))
  t.end()
})
