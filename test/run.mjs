// Runs the tests with tap and ends with one plain line: `N passed, N failed`.
// Files may be named on the command line; without any, all are run.
import { spawn } from 'node:child_process'
import { inspect } from 'node:util'
import { Parser } from 'tap-parser'

const parser = new Parser({ omitVersion: true })
const tap = spawn('npx', ['--no-install', 'tap', '--reporter=tap', ...process.argv.slice(2)], {
  stdio: ['ignore', 'pipe', 'inherit'],
})

const counts = { passed: 0, failed: 0, skipped: 0 }

/** Assertions are counted; what holds them (a file, a subtest) only if it failed and none in it did (a time-out). */
function count(level) {
  const failedBefore = new Map()
  level.on('child', (child) => {
    failedBefore.set(child.name, counts.failed)
    count(child)
  })
  level.on('assert', (result) => {
    const before = failedBefore.get(result.name)
    failedBefore.delete(result.name)
    if (before !== undefined && (result.ok || counts.failed > before)) return
    if (result.skip || result.todo) counts.skipped++
    else if (result.ok) counts.passed++
    else {
      counts.failed++
      console.log(`FAILED  ${result.fullname ?? ''} > ${result.name}`)
      if (result.diag) console.log(inspect(result.diag, { depth: 6 }).slice(0, 2000))
    }
  })
}
count(parser)
parser.on('assert', ({ name, time }) => console.log(`test  ${name}  ${((time ?? 0) / 1000).toFixed(1)} s`))
tap.stdout.pipe(parser)

tap.on('close', (code) => {
  // A runner that fails without a failed test has not run them all.
  if (code !== 0 && counts.failed === 0) counts.failed = 1
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
  console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0
})
