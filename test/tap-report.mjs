import { inspect } from 'node:util'
import { Parser } from 'tap-parser'

/** Most lines of a diagnosis, and most failures, that are repeated; all were shown in full when they happened. */
const [diagnosisLines, failuresMax] = [12, 100]

/** Reads tap's output: prints each file and each failure as it comes, and at the end the failures again and the counts. */
export class TapReport {
  /** To be piped into. */
  parser = new Parser({ omitVersion: true })
  #counts = { passed: 0, failed: 0, skipped: 0 }
  /** What has failed: where, and a short diagnosis. */
  #failures = []

  constructor() {
    this.#count(this.parser)
    this.parser.on('assert', ({ name, time }) =>
      console.log(`test  ${name}  ${((time ?? 0) / 1000).toFixed(1)} s`),
    )
  }

  /** Assertions are counted; what holds them (a file, a subtest) only if it failed and none in it did (a time-out). */
  #count(level, path = []) {
    const failedBefore = new Map()
    level.on('child', (child) => {
      failedBefore.set(child.name, this.#counts.failed)
      this.#count(child, [...path, child.name])
    })
    level.on('assert', (result) => {
      const before = failedBefore.get(result.name)
      failedBefore.delete(result.name)
      if (before !== undefined && (result.ok || this.#counts.failed > before)) return
      if (result.skip || result.todo) this.#counts.skipped++
      else if (result.ok) this.#counts.passed++
      else {
        const where = [...path, result.name].join(' > ')
        this.#fail(where, diagnose(result.diag))
        console.log(`FAILED  ${where}`)
        if (result.diag) console.log(inspect(result.diag, { depth: 6 }).slice(0, 2000))
      }
    })
  }

  #fail(where, diagnosis) {
    this.#counts.failed++
    this.#failures.push({ where, diagnosis })
  }

  /** Prints the end, and returns whether all is well: something passed, and nothing failed. */
  end(exitCode) {
    // A runner that fails without a failed test has not run them all.
    if (exitCode !== 0 && this.#counts.failed === 0)
      this.#fail('the test runner', [`ended with exit code ${exitCode} before all tests were run`])
    const { passed, failed, skipped } = this.#counts
    if (failed > 0) this.#repeatFailures()
    console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
    return passed > 0 && failed === 0
  }

  #repeatFailures() {
    console.log('\nWhat has failed:')
    for (const { where, diagnosis } of this.#failures.slice(0, failuresMax)) {
      console.log(`  ${where}`)
      for (const line of diagnosis) console.log(`      ${line}`)
    }
    if (this.#failures.length > failuresMax) console.log(`  and ${this.#failures.length - failuresMax} more`)
  }
}

/** What was expected and what came, an error's message, or why a file ended; and where in it. */
function diagnose(diag) {
  if (!diag) return []
  const { at, diff, error, signal, exitCode, message, stack } = diag
  const reason =
    diff ??
    message ??
    error?.message ??
    (signal || exitCode ? `ended by ${signal || `exit code ${exitCode}`}` : stack)
  const lines = String(reason ?? '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^(--- expected|\+\+\+ actual|@@ )/.test(line))
  const place = at?.fileName ? [`at ${at.fileName}:${at.lineNumber}`] : []
  return [...lines.slice(0, diagnosisLines), ...(lines.length > diagnosisLines ? ['…'] : []), ...place]
}
