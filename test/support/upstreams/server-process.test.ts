import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { eventually } from '../eventually.js'
import { startProcess } from './server-process.js'

const environment = { PATH: process.env['PATH'] }

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

t.test('a process and its children end with stop()', async (t) => {
  const server = startProcess(t, 'sh', ['-c', 'sleep 1000 & echo $$ $!; wait'], { environment })
  const [, ...pids] = (await server.line(/^(\d+) (\d+)$/)).map(Number)
  t.same(pids.map(isRunning), [true, true])
  await server.stop()
  await eventually('both have ended', () => !pids.some(isRunning))
})

t.test('a process that ends too early is an error, with what it said', async (t) => {
  const server = startProcess(t, 'sh', ['-c', 'echo no such port >&2; exit 3'], { environment })
  await t.rejects(server.line(/ready/), /^sh: ended with 3\nno such port$/)
  await t.rejects(server.listensOn({ socketPath: '/nonexistent' }), /ended with 3/)
  const missing = startProcess(t, '/nonexistent', [], { environment })
  await t.rejects(missing.line(/ready/), /not found/)
})

t.test('a process ends if the process of the test is killed', async (t) => {
  // Loaded as tests are.
  const module = new URL('server-process.ts', import.meta.url).href
  const script = `
    const { startProcess } = await import(${JSON.stringify(module)})
    const server = startProcess({ teardown() {} }, 'sh', ['-c', 'echo $$; exec sleep 1000'], { environment: process.env })
    console.log((await server.line(/^\\d+$/))[0])`
  const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  t.ok(isRunning(Number(line)))
  child.kill('SIGKILL')
  await eventually('it has ended', () => !isRunning(Number(line)))
})
