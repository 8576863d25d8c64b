// How much of src/ a run of tests has run, in its own processes and in the sidecars that it started from dist/.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Report } from 'c8'

const top = new URL('..', import.meta.url)
const [place, maps, records] = ['', 'maps/', 'records/'].map((name) => new URL(`.run/coverage/${name}`, top))

/**
 * Returns the environment in which V8 writes down what each process runs; Node hands it on to processes that it starts.
 * One that is killed by SIGKILL writes nothing.
 */
export function startCoverage() {
  rmSync(place, { recursive: true, force: true })
  mkdirSync(records, { recursive: true })
  return { NODE_V8_COVERAGE: fileURLToPath(records) }
}

/** Prints a table of all files of src/, those that were never loaded included, and the totals. */
export async function printCoverage() {
  // dist/ is published without maps; the same compilation with maps lays them beside it.
  const args = [
    '--no-install',
    'tsc',
    '-p',
    'tsconfig.build.json',
    '--sourceMap',
    '--outDir',
    fileURLToPath(maps),
  ]
  spawnSync('npx', args, { cwd: fileURLToPath(top), stdio: 'inherit' })
  for (const name of readdirSync(records)) slim(new URL(name, records))
  await new Report({
    all: true,
    src: ['src'],
    include: ['src/**'],
    exclude: ['**/*.d.ts'],
    extension: ['.ts', '.cts'],
    excludeAfterRemap: true,
    mergeAsync: true,
    reporter: ['text', 'text-summary'],
    reportsDirectory: fileURLToPath(place),
    tempDirectory: fileURLToPath(records),
  }).run()
}

/** Leaves of a record what concerns this project, a small part, and adds the maps of what ran from dist/. */
function slim(record) {
  const { result, 'source-map-cache': cache = {} } = JSON.parse(readFileSync(record, 'utf8'))
  const [src, dist] = ['src/', 'dist/'].map((directory) => new URL(directory, top).href)
  const own = result.filter(({ url }) => url.startsWith(src) || url.startsWith(dist))
  const sourceMaps = own.map(({ url }) => [
    url,
    url.startsWith(dist) ? mapOf(url.slice(dist.length)) : cache[url],
  ])
  writeFileSync(record, JSON.stringify({ result: own, 'source-map-cache': Object.fromEntries(sourceMaps) }))
}

function mapOf(path) {
  const read = (directory, name) => readFileSync(new URL(`${directory}${name}`, top), 'utf8')
  const data = JSON.parse(read('.run/coverage/maps/', `${path}.map`))
  data.sources = [new URL(`src/${path.replace(/js$/, 'ts')}`, top).href]
  data.sourceRoot = ''
  return {
    lineLengths: read('dist/', path)
      .split('\n')
      .map((line) => line.length),
    data,
  }
}
