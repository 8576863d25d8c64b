// Runs tests with tap; the last line is `N passed, N failed`.
//
//   node test/run.mjs                       format, lint and types, then all tests
//   node test/run.mjs test/x/y.test.ts …    only the tests in these files or directories
//   node test/run.mjs --smoke               only the smoke set, test/smoke.mjs
//   node test/run.mjs --coverage [FILES]    all tests or these; prints how much of src/ they run
//
// First builds dist/ if its sources are newer, unless there is --no-build. With --node=VERSION, or the path of a binary,
// all of this runs under that Node. Other options are passed to tap.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { delimiter, dirname, isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import { directoryOfNode } from '../scripts/other-node.mjs'
import { smokeSet } from './smoke.mjs'
import { TapReport } from './tap-report.mjs'

const inherit = { stdio: ['ignore', 'inherit', 'inherit'] }
const options = new Map()
const tapArguments = []
for (const argument of process.argv.slice(2)) {
  const [, name, value = ''] = /^--(smoke|coverage|no-build|node)(?:=(.*))?$/.exec(argument) ?? []
  if (name) options.set(name, value)
  else tapArguments.push(argument)
}
const isAll = !options.has('smoke') && tapArguments.every((argument) => argument.startsWith('-'))

const node = options.get('node')
process.exitCode = node !== undefined && node !== process.execPath ? runUnder(node) : await run()

/** Runs this program under another Node, which is then also the `node` of all that the tests start. */
function runUnder(node) {
  const directory = isAbsolute(node) ? dirname(node) : directoryOfNode(node)
  const args = process.argv.slice(1).filter((argument) => !argument.startsWith('--node'))
  const env = { ...process.env, PATH: [directory, process.env.PATH].join(delimiter) }
  return spawnSync(isAbsolute(node) ? node : `${directory}/node`, args, { ...inherit, env }).status ?? 1
}

/** Returns the exit code. */
async function run() {
  const build = () => spawnSync(process.execPath, ['scripts/build.mjs', '--if-stale'], inherit)
  if (!options.has('no-build') && build().status !== 0) return stop('build')
  if (isAll && !options.has('coverage')) {
    for (const check of ['format', 'lint', 'types']) {
      if (spawnSync('npm', ['run', '--silent', check], inherit).status !== 0) return stop(check)
    }
  }
  const coverage = options.has('coverage') ? await import('../scripts/coverage.mjs') : undefined
  const report = new TapReport()
  const code = await runTap(report, coverage?.startCoverage())
  await coverage?.printCoverage()
  return report.end(code) ? 0 : 1
}

async function runTap(report, environment) {
  const tap = fileURLToPath(new URL('run.mjs', import.meta.resolve('tap')))
  const files = options.has('smoke') ? smokeSet : []
  const child = spawn(process.execPath, [tap, '--reporter=tap', ...tapArguments, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  })
  child.stdout.pipe(report.parser)
  const [code] = await once(child, 'close')
  return code
}

/** Ends a run before its tests; what failed has said itself why. */
function stop(what) {
  console.log(`${what} failed; no test was run\n0 passed, 1 failed`)
  return 1
}
