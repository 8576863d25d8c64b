import { inspect } from 'node:util'
import { Parser } from 'tap-parser'

/** Most lines of a diagnosis, and most failures, that are repeated; all were shown in full when they happened. */
const [diagnosisLines, failuresMax] = [12, 100]

/** Reads what test files print: prints each failure as it comes, and at the end the failures again and the counts. */
export class TapReport {
  /** What files and checks have come to, by name: counts, and of what has failed where it is, with a short diagnosis. */
  #results = new Map()
  /** Names of files that have failed and were run again. */
  #repeated = new Set()

  /**
   * Starts the report of a file. If there is one of it already, this one takes its place.
   * @returns `output`, to be piped into, and `end`, to be called when the file's process has ended, with what runTestFile()
   * resolves with
   */
  file(name) {
    const parser = new Parser({ omitVersion: true })
    if (this.#results.has(name)) this.#repeated.add(name)
    const file = this.#start(name)
    this.#count(parser, [name], file)
    const end = ({ code, signal, timedOut, ms }) => {
      parser.end()
      console.log(`test  ${name}  ${(ms / 1000).toFixed(1)} s`)
      const reason = timedOut ? 'took too long' : endedBy(signal, code)
      // An exit code says no more than the failures do; tap ends its own process by SIGALRM after a time-out.
      if (hasFailed(file) && (!signal || timedOut || signal === 'SIGALRM')) return
      if (reason) fail(file, name, [reason])
      else if (!parser.results?.ok) fail(file, name, unsound(parser.results))
    }
    return { output: parser, end }
  }

  #start(name) {
    const result = { passed: 0, skipped: 0, failures: [] }
    this.#results.set(name, result)
    return result
  }

  /** Returns the names of the files and checks that have failed. */
  get failed() {
    return [...this.#results].filter(([, result]) => hasFailed(result)).map(([name]) => name)
  }

  /** Assertions are counted; what holds them (a subtest) only if it failed and none in it did (a time-out). */
  #count(level, path, file) {
    const failedBefore = new Map()
    level.on('child', (child) => {
      failedBefore.set(child.name, file.failures.length)
      this.#count(child, [...path, child.name], file)
    })
    level.on('assert', (result) => {
      const before = failedBefore.get(result.name)
      failedBefore.delete(result.name)
      if (before !== undefined && (result.ok || file.failures.length > before)) return
      if (result.skip || result.todo) file.skipped++
      else if (result.ok) file.passed++
      else {
        fail(file, [...path, result.name].join(' > '), diagnose(result.diag))
        if (result.diag) console.log(inspect(result.diag, { depth: 6 }).slice(0, 2000))
      }
    })
  }

  /** Notes that a check has failed, and prints it. */
  fail(name, diagnosis) {
    fail(this.#start(name), name, diagnosis)
  }

  /** Prints the end, and returns whether all is well: something passed, and nothing failed. */
  end() {
    const results = [...this.#results.values()]
    const sum = (of) => results.reduce((total, result) => total + of(result), 0)
    const passed = sum((result) => result.passed)
    const skipped = sum((result) => result.skipped)
    const failures = results.flatMap((result) => result.failures)
    const unsteady = [...this.#repeated].filter((name) => !hasFailed(this.#results.get(name)))
    if (failures.length > 0) repeat(failures)
    for (const name of unsteady) console.log(`failed beside others, and passed alone: ${name}`)
    console.log(`${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
    return passed > 0 && failures.length === 0
  }
}

const hasFailed = ({ failures }) => failures.length > 0

/** Notes a failure, and prints that there is one. */
function fail({ failures }, where, diagnosis) {
  console.log(`FAILED  ${where}`)
  failures.push({ where, diagnosis })
}

function repeat(failures) {
  console.log('\nWhat has failed:')
  for (const { where, diagnosis } of failures.slice(0, failuresMax)) {
    console.log(`  ${where}`)
    for (const line of diagnosis) console.log(`      ${line}`)
  }
  if (failures.length > failuresMax) console.log(`  and ${failures.length - failuresMax} more`)
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
