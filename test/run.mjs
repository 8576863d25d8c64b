// Runs the tests with tap, repeats at the end what has failed, and ends with one plain line: `N passed, N failed`.
// Files may be named on the command line; without any, all are run.
import { spawn } from 'node:child_process'
import { inspect } from 'node:util'
import { Parser } from 'tap-parser'

const parser = new Parser({ omitVersion: true })
const tap = spawn('npx', ['--no-install', 'tap', '--reporter=tap', ...process.argv.slice(2)], {
  stdio: ['ignore', 'pipe', 'inherit'],
})

const counts = { passed: 0, failed: 0, skipped: 0 }
/** What has failed: where, and a short diagnosis. */
const failures = []
/** Most lines of a diagnosis, and most failures, that are repeated; all were shown in full when they happened. */
const [diagnosisLines, failuresMax] = [12, 100]

/** Assertions are counted; what holds them (a file, a subtest) only if it failed and none in it did (a time-out). */
function count(level, path = []) {
  const failedBefore = new Map()
  level.on('child', (child) => {
    failedBefore.set(child.name, counts.failed)
    count(child, [...path, child.name])
  })
  level.on('assert', (result) => {
    const before = failedBefore.get(result.name)
    failedBefore.delete(result.name)
    if (before !== undefined && (result.ok || counts.failed > before)) return
    if (result.skip || result.todo) counts.skipped++
    else if (result.ok) counts.passed++
    else {
      counts.failed++
      const where = [...path, result.name].join(' > ')
      failures.push({ where, diagnosis: diagnose(result.diag) })
      console.log(`FAILED  ${where}`)
      if (result.diag) console.log(inspect(result.diag, { depth: 6 }).slice(0, 2000))
    }
  })
}

/** What was expected and what came, an error's own words, or why a file ended; and where in it. */
function diagnose(diag) {
  if (!diag) return []
  const { at, diff, error, signal, exitCode, message, stack } = diag
  const told =
    diff ??
    message ??
    error?.message ??
    (signal || exitCode ? `ended by ${signal || `exit code ${exitCode}`}` : stack)
  const lines = String(told ?? '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^(--- expected|\+\+\+ actual|@@ )/.test(line))
  const place = at?.fileName ? [`at ${at.fileName}:${at.lineNumber}`] : []
  return [...lines.slice(0, diagnosisLines), ...(lines.length > diagnosisLines ? ['…'] : []), ...place]
}

function repeatFailures() {
  if (failures.length === 0) return
  console.log('\nWhat has failed:')
  for (const { where, diagnosis } of failures.slice(0, failuresMax)) {
    console.log(`  ${where}`)
    for (const line of diagnosis) console.log(`      ${line}`)
  }
  if (failures.length > failuresMax) console.log(`  and ${failures.length - failuresMax} more`)
}

count(parser)
parser.on('assert', ({ name, time }) => console.log(`test  ${name}  ${((time ?? 0) / 1000).toFixed(1)} s`))
tap.stdout.pipe(parser)

tap.on('close', (code) => {
  // A runner that fails without a failed test has not run them all.
  if (code !== 0 && counts.failed === 0) {
    counts.failed = 1
    failures.push({
      where: 'the test runner',
      diagnosis: [`ended with exit code ${code} before all tests were run`],
    })
  }
  repeatFailures()
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
  console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0
})
