// Runs one test file in a process of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { clearTimeout, setTimeout } from 'node:timers'

const loader = new URL('loader.mjs', import.meta.url).href
/** Most time that a process gets to say what it was waiting for. */
const graceMaxMs = 5000
/** By this tap knows messages of its own. */
const key = 'refstream'
const running = new Set()

/**
 * Runs a test file and resolves when its process has ended. What it prints goes to `output`, and into .tap/test-results/.
 * The process ends itself when a test takes too long; it is killed if it has not done so by then, or if it does not end
 * after its tests.
 * @param timeoutMs 0: none; a file can ask for another
 * @returns the exit code or signal, whether that was for the time limit, and the milliseconds that it took
 */
export async function runTestFile(path, { timeoutMs, environment, output }) {
  const beganMs = performance.now()
  const child = spawn(process.execPath, [`--import=${loader}`, path], {
    // tap tells its parent over the channel which time limit a file asks for.
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: {
      ...environment,
      TAP: '1',
      TAP_TIMEOUT: String(timeoutMs / 1000),
      TAP_CHILD_ID: '1',
      TAP_CHILD_KEY: key,
    },
  })
  running.add(child)
  child.stdout.pipe(output, { end: false })
  child.stdout.pipe(resultFile(path))
  const limit = timeLimit(child, timeoutMs > 0 ? Math.min(graceMaxMs, timeoutMs) : graceMaxMs)
  limit.set(timeoutMs)
  child.on('message', (message) => {
    if (message?.key === key && message.setTimeout !== undefined) limit.set(message.setTimeout)
  })
  const [code, signal] = await once(child, 'close')
  running.delete(child)
  return { code, signal, timedOut: limit.end(), ms: performance.now() - beganMs }
}

/** Ends what runs now. */
export function killAll() {
  for (const child of running) child.kill('SIGKILL')
}

/** Kills a process after some time; tap prints what it was waiting for at SIGALRM. */
function timeLimit(child, graceMs) {
  let timer
  let passed = false
  const kill = () => {
    passed = true
    child.kill('SIGALRM')
    timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  }
  return {
    set(ms) {
      clearTimeout(timer)
      // The file's own timer is to come first.
      if (ms > 0 && !passed) timer = setTimeout(kill, ms + graceMs)
    },
    end() {
      clearTimeout(timer)
      return passed
    },
  }
}

function resultFile(path) {
  const file = `.tap/test-results/${relative('.', path).replace(/^(\.\.\/)+/, '')}.tap`
  mkdirSync(dirname(file), { recursive: true })
  return createWriteStream(file)
}
