import t, { type Test } from 'tap'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { eventually } from '../support/eventually.js'
import { infoRefs } from '../support/http-client.js'
import { addPackedBranches, makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const permitted = spawnSync('unshare', ['--fork', '--pid', '--mount-proc', 'true']).status === 0
const options = permitted ? {} : { skip: 'unshare(1) may not make a namespace of processes here' }
const launcher = join(dirname(program), 'refstream')
const commands = {
  'the launcher': () => [launcher],
  'a link to the launcher, as npm makes it': (directory: string) => {
    const link = join(directory, 'refstream')
    symlinkSync(launcher, link)
    symlinkSync('refstream', join(directory, 'link'))
    return [join(directory, 'link')]
  },
  'Node itself': () => [process.execPath, program],
}

interface Row {
  readonly pid: number
  readonly parent: number
  readonly state: string
  readonly command: string
}

/** Returns the current descendants of a process. */
function below(pid: number): Row[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,ppid=,stat=,comm='])
  const rows = stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => {
      const [pid, parent, state = '', command = ''] = line.trim().split(/\s+/)
      return { pid: Number(pid), parent: Number(parent), state, command }
    })
  const of = (parent: number): Row[] =>
    rows.filter((row) => row.parent === parent).flatMap((row) => [row, ...of(row.pid)])
  return of(pid)
}

/** Runs a command as process 1. */
function asProcessOne(t: Test, command: readonly string[]) {
  const child = spawn('unshare', ['--fork', '--pid', '--mount-proc', '--kill-child', ...command], {
    env: cleanEnvironment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: Record<string, unknown>[] = []
  const listening = new Promise<string>((resolve) => {
    createInterface(child.stdout).on('line', (line) => {
      const entry = JSON.parse(line) as Record<string, unknown>
      lines.push(entry)
      if (entry['msg'] === 'listening') resolve(entry['url'] as string)
    })
  })
  const ended = once(child, 'exit') as Promise<[number | null]>
  const signal = (name: NodeJS.Signals): void => {
    const [first] = below(child.pid!)
    process.kill(first!.pid, name)
  }
  return { pid: child.pid!, lines, listening, signal, code: async () => (await ended)[0] }
}

for (const [what, command] of Object.entries(commands)) {
  t.test(`${what} as process 1 leaves no zombies`, options, async (t) => {
    const root = tempDir(t)
    addPackedBranches(makeRepository(root, 'r.git'), 20_000)
    const started = join(root, 'started')
    // As hooks may do: background processes are left by a Git process that ends, and by one that is ended early.
    const git = join(root, 'git-wrapper')
    const script = `#!/bin/sh
case " $* " in
*" upload-pack "* | *" http-backend "*)
  sleep 0.3 > /dev/null 2>&1 < /dev/null &
  echo $! >> ${started} ;;
esac
exec git "$@"
`
    writeFileSync(git, script, { mode: 0o755 })
    const serve = ['serve', '--root', root, '--cache-dir', join(root, 'cache'), '--git', git]
    const where = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--drain-seconds', '1']
    const run = asProcessOne(t, [...command(tempDir(t)), ...serve, ...where])
    const url = infoRefs(await run.listening, 'r.git')
    for (let count = 0; count < 5; count++) {
      await new Promise<void>((resolve, reject) => {
        // The client disconnects after the first bytes.
        const request = get(url)
        request.on('error', reject).on('response', (response) => {
          response.once('data', () => {
            request
              .off('error', reject)
              .on('error', () => {})
              .destroy()
            resolve()
          })
        })
      })
      // So that the next request has its own Git process.
      addPackedBranches(join(root, 'r.git'), 1, `${count}/`)
    }
    const pids = readFileSync(started, 'utf8').trim().split('\n')
    t.ok(pids.length > 0)
    const rest = () => below(run.pid).filter(({ state, command }) => /^Z/.test(state) || command === 'sleep')
    await eventually('nothing is left of them', () => rest().length === 0)
    t.notOk(run.lines.some(({ msg }) => String(msg).includes('zombies')))
    run.signal('SIGHUP')
    run.signal('SIGTERM')
    t.equal(await run.code(), 0, 'signals and the exit code are passed on')
    t.ok(run.lines.some(({ msg }) => String(msg).startsWith('draining')))
  })

  t.test(`${what} as process 1 passes on the exit code of a usage error`, options, async (t) => {
    const run = asProcessOne(t, [...command(tempDir(t)), 'serve', '--root', '/nowhere'])
    t.equal(await run.code(), 2)
  })
}

t.test('the launcher becomes Node where it is not process 1', async (t) => {
  const child = spawn(launcher, ['--version'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill())
  const [code] = (await once(child, 'exit')) as [number]
  t.equal(code, 0)
})
