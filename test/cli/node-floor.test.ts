import { Linter } from 'eslint'
import t from 'tap'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { unbundled } from '../support/sidecar.js'

const directory = join(unbundled, '..')
const { engines, bin } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  engines: { node: string }
  bin: { refstream: string }
}

/** Runs the command as if this Node were another version. */
function runOn(version: string, file: string) {
  const script = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: process.argv[1] } })
process.argv.splice(1, 1, 'refstream')
import(process.argv[2]).catch((error) => console.log('failed', error))
process.argv.splice(2, 1)`
  const args = ['-e', script, version, file, '--version']
  return spawnSync(process.execPath, args, { encoding: 'utf8' })
}

t.test('a Node that is too old ends with one line, a newer one does not', async (t) => {
  for (const file of [join(directory, 'refstream.cjs'), unbundled]) {
    for (const version of ['0.10.48', '8.17.0', '18.20.8', '20.0.0', '20.17.9', '20.18.0']) {
      const { status, stdout, stderr } = runOn(version, file)
      t.same([status, stdout], [2, ''], version)
      t.match(stderr, /^refstream needs Node 20\.18\.1 or newer; this is \d+\.\d+\.\d+, \/.*\n$/)
      t.ok(stderr.includes(version))
    }
    for (const version of [
      '20.18.1',
      '20.18.2-nightly',
      '20.19.0',
      '21.0.0',
      '22.1.0',
      '24.0.0-nightly',
      '100.0.0',
    ]) {
      const { status, stdout, stderr } = runOn(version, file)
      t.match([status, stdout, stderr], [0, /^\d+\.\d+\.\d+\n$/, ''], version)
    }
  }
  t.equal(engines.node, '>=20.18.1', 'package.json says the same')
})

t.test('files that are parsed before the check can be parsed by every Node', async (t) => {
  const languageOptions = { ecmaVersion: 5, sourceType: 'script' } as const
  t.equal(new Linter().verify('import("x")', { languageOptions }).length, 1)
  for (const name of ['refstream.cjs', 'node-floor.cjs']) {
    const text = readFileSync(join(directory, name), 'utf8')
    t.same(new Linter().verify(text, { languageOptions }), [], name)
  }
  t.equal(bin.refstream, 'dist/cli/refstream')
})
