import { inspect } from 'node:util'
import { Parser } from 'tap-parser'

/** Most lines of a diagnosis, and most failures, that are repeated; all were shown in full when they happened. */
const [diagnosisLines, failuresMax] = [12, 100]

/** Reads what test files print: prints each failure as it comes, and at the end the failures again and the counts. */
export class TapReport {
  #counts = { passed: 0, failed: 0, skipped: 0 }
  /** What has failed: where, and a short diagnosis. */
  #failures = []

  /**
   * Starts the report of a file. @returns `output`, to be piped into, and `end`, to be called when the file's process has
   * ended, with what runTestFile() resolves with
   */
  file(name) {
    const parser = new Parser({ omitVersion: true })
    const file = { failed: 0 }
    this.#count(parser, [name], file)
    const end = ({ code, signal, timedOut, ms }) => {
      parser.end()
      console.log(`test  ${name}  ${(ms / 1000).toFixed(1)} s`)
      const reason = timedOut ? 'took too long' : endedBy(signal, code)
      // An exit code says no more than the failures do; tap ends its own process by SIGALRM after a time-out.
      if (file.failed > 0 && (!signal || timedOut || signal === 'SIGALRM')) return
      if (reason) this.fail(name, [reason])
      else if (!parser.results?.ok) this.fail(name, unsound(parser.results))
    }
    return { output: parser, end }
  }

  /** Assertions are counted; what holds them (a subtest) only if it failed and none in it did (a time-out). */
  #count(level, path, file) {
    const failedBefore = new Map()
    level.on('child', (child) => {
      failedBefore.set(child.name, file.failed)
      this.#count(child, [...path, child.name], file)
    })
    level.on('assert', (result) => {
      const before = failedBefore.get(result.name)
      failedBefore.delete(result.name)
      if (before !== undefined && (result.ok || file.failed > before)) return
      if (result.skip || result.todo) this.#counts.skipped++
      else if (result.ok) this.#counts.passed++
      else {
        file.failed++
        this.fail([...path, result.name].join(' > '), diagnose(result.diag))
        if (result.diag) console.log(inspect(result.diag, { depth: 6 }).slice(0, 2000))
      }
    })
  }

  /** Counts a failure, and prints that there is one. */
  fail(where, diagnosis) {
    this.#counts.failed++
    console.log(`FAILED  ${where}`)
    this.#failures.push({ where, diagnosis })
  }

  /** Prints the end, and returns whether all is well: something passed, and nothing failed. */
  end() {
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

/** Why a process ended before it said that all is well; undefined: by itself. */
function endedBy(signal, code) {
  return signal || code ? `ended by ${signal || `exit code ${code}`}` : undefined
}

/** What is wrong with a file none of whose tests has failed. */
function unsound(results) {
  const errors = (results?.failures ?? []).map(({ tapError }) => tapError).filter(Boolean)
  return [results?.bailout || errors.join('; ') || 'ended before all its tests were run']
}

/** What was expected and what came, an error's message, or why a file ended; and where in it. */
function diagnose(diag) {
  if (!diag) return []
  const { at, diff, error, signal, exitCode, message, stack } = diag
  const reason = diff ?? message ?? error?.message ?? endedBy(signal, exitCode) ?? stack
  const lines = String(reason ?? '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^(--- expected|\+\+\+ actual|@@ )/.test(line))
  const place = at?.fileName ? [`at ${at.fileName}:${at.lineNumber}`] : []
  return [...lines.slice(0, diagnosisLines), ...(lines.length > diagnosisLines ? ['…'] : []), ...place]
}
