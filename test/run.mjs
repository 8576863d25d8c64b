// Runs tests, which use tap; the last line is `N passed, N failed`.
//
//   node test/run.mjs                       format, lint, types and all tests
//   node test/run.mjs test/x/y.test.ts …    only the tests in these files or directories
//   node test/run.mjs --smoke               only the smoke set, test/smoke.mjs
//   node test/run.mjs --coverage [FILES]    all tests or these; prints how much of src/ they run
//
// First builds dist/ if its sources are newer, unless there is --no-build, and compiles src/ and test/ for the processes
// of the tests. With --node=VERSION, or the path of a binary, all of this runs under that Node. --jobs=N: so many files
// at a time; otherwise one more than there are cores, for many tests wait for something now and then. --timeout=SECONDS
// is how long a file may take; 0: as long as it likes. --once: files of test/e2e/ that fail beside others are not run alone.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, dirname, isAbsolute, join, sep } from 'node:path'
import { parseArgs } from 'node:util'
import { directoryOfNode } from '../scripts/other-node.mjs'
import { compileStale } from './runner/compile.mjs'
import { killAll, runTestFile } from './runner/test-file.mjs'
import { smokeSet } from './smoke.mjs'
import { TapReport } from './tap-report.mjs'

const inherit = { stdio: ['ignore', 'inherit', 'inherit'] }
const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: 'boolean' },
    once: { type: 'boolean' },
    coverage: { type: 'boolean' },
    'no-build': { type: 'boolean' },
    node: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism() + 1) },
    timeout: { type: 'string', default: '120' },
  },
})
/** Most files that are run again: where more fail, they do not fail by chance. */
const repeatedMax = 5
const isAll = !options.smoke && wanted.length === 0

const { node } = options
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
  if (!options['no-build']) {
    const built = startProgram(process.execPath, ['scripts/build.mjs', '--if-stale'])
    await compileStale()
    if (!(await built)) {
      console.log('build failed; no test was run\n0 passed, 1 failed')
      return 1
    }
  }
  const coverage = options.coverage ? await import('../scripts/coverage.mjs') : undefined
  const report = new TapReport()
  const environment = { ...process.env, ...coverage?.startCoverage() }
  await runJobs(report, environment)
  if (!options.once) await runAlone(report, environment)
  await coverage?.printCoverage()
  return report.end() ? 0 : 1
}

/** Runs the checks, the longest first, and the test files; some at a time. No other is started once a check has failed. */
async function runJobs(report, environment) {
  const checks = isAll && !options.coverage ? ['lint', 'types', 'format'] : []
  const files = options.smoke ? [...smokeSet] : (isAll ? ['test'] : wanted).flatMap(testFilesIn)
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      killAll()
      process.exit(1)
    })
  }
  const runCheck = async (name) => {
    if (await startProgram('npm', ['run', '--silent', name])) return
    report.fail(name, ['its output is above; the run has ended with it'])
    checks.length = files.length = 0
  }
  const runNext = async () => {
    for (;;) {
      if (checks.length > 0) await runCheck(checks.shift())
      else if (files.length > 0) await runFile(report, files.shift(), environment)
      else return
    }
  }
  await Promise.all(Array.from({ length: Number(options.jobs) }, runNext))
}

/**
 * Runs files of test/e2e/ that have failed once more, one after the other: their processes have time limits, as real ones
 * have, which a machine that is busy with other files may not keep. The report says which they were.
 */
async function runAlone(report, environment) {
  const failed = report.failed.filter((name) => name.split(sep).includes('e2e'))
  if (failed.length > repeatedMax) return
  for (const path of failed) await runFile(report, path, environment)
}

async function runFile(report, path, environment) {
  const { output, end } = report.file(path)
  end(await runTestFile(path, { timeoutMs: Number(options.timeout) * 1000, environment, output }))
}

/** Starts a program and resolves when it has ended: has it succeeded? */
async function startProgram(...command) {
  const [code] = await once(spawn(...command, inherit), 'close')
  return code === 0
}

/** Returns the test files below a directory, sorted; or what is no directory itself. */
function testFilesIn(path) {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path]
  const names = readdirSync(path, { recursive: true }).filter((name) => name.endsWith('.test.ts'))
  return names.sort().map((name) => join(path, name))
}
