import t from 'tap'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Complaint, Git } from '../../../src/git/process/git.js'
import { GitError } from '../../../src/git/process/git-error.js'
import { outputOf, type GitProcess } from '../../../src/git/process/git-process.js'
import { eventually } from '../../support/eventually.js'
import { gitEnvironment } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

interface Ended {
  readonly command: string
  readonly stderr: string
  readonly ending: string
}

/** A Git whose program is a shell script; `$1` is the command. */
function scripted(t: Parameters<typeof tempDir>[0], script: string) {
  const path = join(tempDir(t), 'git')
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  const started: string[] = []
  const complaints: Ended[] = []
  const git = new Git({
    path,
    environment: gitEnvironment,
    started: (command) => started.push(command),
    complained: ({ command, stderr, ending }) => complaints.push({ command, stderr, ending }),
  })
  t.teardown(() => git.killAll())
  const run = (signal?: AbortSignal): GitProcess =>
    git.spawn(['test'], { environment: git.environment, ...(signal ? { signal } : {}) })
  return { git, run, started, complaints }
}

/** The first line of a process's output; here, process ids. */
async function firstLine(process: GitProcess): Promise<number[]> {
  const [chunk] = (await once(process.stdout, 'data')) as [Buffer]
  return chunk.toString().trim().split(' ').map(Number)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

t.test('output, exit codes and counters', async (t) => {
  const { git, started, complaints } = scripted(
    t,
    'case $1 in one) echo out;; *) echo oops >&2; exit 3;; esac',
  )
  const options = { environment: git.environment }
  t.equal(await git.output(['one'], options), 'out\n')
  t.same(complaints, [], 'a process that succeeds without output is not reported')
  await t.rejects(git.output(['two'], options), new GitError('git two: exit code 3'))
  t.equal(await outputOf(git.spawn(['two'], options), [0, 3]), '')
  t.same(started, ['one', 'two', 'two'])
  t.same(complaints[0], { command: 'two', stderr: 'oops', ending: 'exit code 3' })
  await t.rejects(git.output(['two'], { ...options, hidesStderr: true }), GitError)
  t.equal(complaints.at(-1)?.stderr, '', 'what may be secret is not reported')
  t.equal(git.running, 0)
})

t.test('arguments reach Git unchanged', async (t) => {
  const { git } = scripted(t, 'printf "%s|" "$@"')
  const args: [string, ...string[]] = ['a b', '$(reboot)', '; x', '', "'"]
  t.equal(await git.output(args, { environment: git.environment }), "a b|$(reboot)|; x||'|")
})

t.test('only the end of standard error is kept', async (t) => {
  const { run, complaints } = scripted(
    t,
    'yes "a long story" | head -c 1000000 >&2; echo the end >&2; exit 128',
  )
  const process = run()
  t.match(await process.ended, { code: 128, reason: 'exit code 128' })
  t.ok(process.stderr.length <= 4096)
  t.match(process.stderr, /the end$/)
  t.equal(complaints[0]?.stderr, process.stderr)
})

t.test('a program that cannot be started is reported by its ending', async (t) => {
  const complaints: string[] = []
  const complained = ({ ending }: Complaint): void => void complaints.push(ending)
  const none = new Git({ path: '/nonexistent/git', environment: {}, complained })
  const process = none.spawn(['test'], { environment: {} })
  t.match(await process.ended, { code: undefined, reason: /ENOENT/ })
  t.match(complaints, [/ENOENT/])
  await t.rejects(none.output(['test'], { environment: {} }), /git test: .*ENOENT/)

  // E2BIG: spawn() throws it.
  const { git } = scripted(t, 'true')
  const huge = { environment: { HUGE: 'x'.repeat(4_000_000) } }
  await t.rejects(git.output(['test'], huge), /git test: .*E2BIG/)
  // spawn() reports a missing directory like a missing program.
  await t.rejects(git.output(['test'], { environment: {}, cwd: '/nonexistent' }), GitError)
  t.equal(git.running + none.running, 0)
})

t.test(
  'running out of file descriptors is an error of the process and does not end the sidecar',
  async (t) => {
    const { openSync, closeSync } = await import('node:fs')
    const { git } = scripted(t, 'true')
    const taken: number[] = []
    t.teardown(() => taken.forEach(closeSync))
    try {
      // Until this process's limit is reached: EMFILE.
      while (taken.length < 200_000) taken.push(openSync('/dev/null', 'r'))
    } catch {
      const process = git.spawn(['test'], { environment: git.environment })
      t.match(await process.ended, { code: undefined, reason: /EMFILE|EAGAIN/ })
      process.stdin.write('x')
      t.equal(git.running, 0)
    }
    for (const descriptor of taken.splice(0)) closeSync(descriptor)
    t.equal(await git.output(['test'], { environment: git.environment }), '', 'and it goes on')
  },
)

t.test('writing to a process that has ended early does not fail', async (t) => {
  const { run } = scripted(t, 'exec <&-; exit 0')
  const process = run()
  process.stdin.write(Buffer.alloc(1_000_000))
  t.match(await process.ended, { code: 0 })
})

t.test('an abort ends the process and its descendants', async (t) => {
  // Otherwise the grandchild would hold the output open long after its parent.
  const { run, git } = scripted(t, 'sh -c "echo \\$\\$; exec sleep 1000"; true')
  const aborter = new AbortController()
  const process = run(aborter.signal)
  const [grandchild = 0] = await firstLine(process)
  t.equal(git.running, 1)
  aborter.abort()
  t.match(await process.ended, { code: undefined, reason: 'killed by SIGTERM' })
  await eventually('the grandchild is gone', () => !isAlive(grandchild))
  t.equal(git.running, 0)

  const late = run(aborter.signal)
  t.match(await late.ended, { code: undefined }, 'aborted before it began')
})

t.test('a grandchild outlives its parent only until the process is ended', async (t) => {
  const { run } = scripted(t, 'sh -c "echo $$ \\$\\$; exec sleep 1000" & exit 0')
  const process = run()
  const [leader = 0, orphan = 0] = await firstLine(process)
  await eventually('the leader is gone', () => !isAlive(leader))
  t.ok(isAlive(orphan))
  process.end()
  t.match(await process.ended, { code: 0 }, 'the leader had ended well')
  await eventually('the orphan is gone', () => !isAlive(orphan))
})

t.test('a process that ignores SIGTERM gets SIGKILL', async (t) => {
  const { run } = scripted(t, 'trap "" TERM; echo $$; while :; do sleep 1000; done')
  const process = run()
  const [pid = 0] = await firstLine(process)
  process.end()
  t.match(await process.ended, { code: undefined, reason: 'killed by SIGKILL' })
  t.equal(isAlive(pid), false)
})

t.test('killAll kills all processes; close resolves when they have ended', async (t) => {
  const { run, git } = scripted(t, 'trap "" TERM; echo $$; sleep 1000')
  const processes = [run(), run(), run()]
  await Promise.all(processes.map(firstLine))
  t.equal(git.running, 3)
  git.killAll()
  await git.close()
  t.equal(git.running, 0)
  for (const { ended } of processes) t.match(await ended, { reason: 'killed by SIGKILL' })
  await git.close()
})

t.test('ending a process that has ended does nothing', async (t) => {
  const { run } = scripted(t, 'exit 0')
  const process = run()
  await process.ended
  process.end()
  process.kill('SIGKILL')
  t.match(await process.ended, { code: 0 })
})

t.test('a descendant that has left the process group and holds a pipe does not delay the end', async (t) => {
  for (const held of ['2>/dev/null', '>/dev/null']) {
    const { run, git } = scripted(
      t,
      `echo $$; setsid sh -c 'echo $$ >"$0.pid"; exec sleep 1000' "$0" ${held} & exit 0`,
    )
    t.teardown(() => process.kill(Number(readFileSync(`${git.path}.pid`, 'utf8'))))
    const leader = run()
    const [pid = 0] = await firstLine(leader)
    await eventually('the leader is gone', () => !isAlive(pid))
    await eventually('the daemon runs', () => existsSync(`${git.path}.pid`))
    leader.end()
    await leader.ended
    t.equal(git.running, 0, held)
  }
})

t.test('a process that has the pid since then is not killed', async (t) => {
  const { run } = scripted(t, 'echo $$ >&2; echo unread')
  const child = run()
  // The output is not read yet, as for a slow client.
  child.stdout.on('readable', () => {})
  await eventually('it has said its number', () => child.stderr !== '')
  const pid = Number(child.stderr)
  await eventually('it has gone', () => !isAlive(pid))
  const kills = t.capture(process, 'kill', () => true)
  child.end()
  t.strictSame(
    kills().map(({ args }) => args),
    [[pid, 0]],
  )
  child.stdout.removeAllListeners('readable').resume()
  t.match(await child.ended, { code: 0 })
})
