import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { runCommand } from '../../support/command.js'
import { eventually } from '../../support/eventually.js'
import { ask, infoRefs } from '../../support/http-client.js'
import { makeRepository } from '../../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('--once prints what a sidecar does, for people or for scripts', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const { url, adminUrl } = await startSidecar(t, root)
  await ask(infoRefs(url, 'r.git'))
  await ask(infoRefs(url, 'r.git'))
  const text = await runCommand(['top', '--once', '--admin', adminUrl])
  t.match(text, { status: 0, stderr: '' })
  t.match(text.stdout, /^refstream .* ready\n/)
  t.match(text.stdout, /\n {2}requests {2}repository\n {9}2 {2}r\.git\n$/)
  t.notMatch(text.stdout, '\x1b', 'no colours in a pipe')
  const json = await runCommand(['top', '--once', '--json', '--admin', adminUrl])
  t.match(JSON.parse(json.stdout), { requests: { byOutcome: { filled: Number } } })
})

t.test('in a pipe it prints one text after the other until its reader has gone', async (t) => {
  const { adminUrl } = await startSidecar(t, tempDir(t))
  const args = [program, 'top', '--json', '--interval', '0.1', '--admin', adminUrl]
  const child = spawn(process.execPath, args, { env: cleanEnvironment, stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await eventually('three lines', () => text.split('\n').length > 3)
  child.stdout.destroy()
  t.same(await once(child, 'exit'), [0, null])
})

t.test('without a sidecar it says so', async (t) => {
  t.match(await runCommand(['top', '--once', '--admin', '127.0.0.1:1']), {
    ...{ status: 1, stdout: '', stderr: /^refstream: no sidecar answers at http:\/\/127\.0\.0\.1:1: / },
  })
  t.match(await runCommand(['top', '--interval', '0']), {
    status: 2,
    stderr: /It must be 0\.1 to 3600 seconds/,
  })
})

const script = '/usr/bin/script'
t.test(
  'on a terminal it is one page, which q ends',
  { skip: !existsSync(script) && 'there is no script(1)' },
  async (t) => {
    const sidecar = await startSidecar(t, tempDir(t))
    const command = `stty cols 40 rows 3; ${process.execPath} ${program} top --interval 0.1 --admin ${sidecar.adminUrl}; stty -a`
    const child = spawn(script, ['-qec', command, '/dev/null'], {
      env: { ...cleanEnvironment, TERM: 'xterm' },
    })
    t.teardown(() => child.kill('SIGKILL'))
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    const pages = (): string[] => text.split('\x1b[H').slice(1)
    await eventually('pages', () => pages().length > 2)
    const lines = pages()[1]!
      .replaceAll(/\p{Cc}\[[\d?]*[A-Za-z]/gu, '')
      .split('\r\n')
    t.equal(lines.length, 3, 'as many lines as the terminal has')
    t.ok(
      lines.every((line) => line.length <= 40),
      'none is longer than a line of it',
    )
    t.match(lines[0], /^refstream {2}/)
    await sidecar.stop()
    await eventually('that it is away', () => /no sidecar answers/.test(pages().at(-1) ?? ''))
    child.stdin.write('q')
    t.same(await once(child, 'exit'), [0, null])
    const [page = '', after] = text.split('\x1b[?1049l')
    t.ok(page.startsWith('\x1b[?1049h\x1b[?25l'), 'it has a screen of its own')
    t.ok(page.endsWith('\x1b[?25h'), 'the cursor is back')
    t.match(after, /[^-]icanon/, 'the terminal is as before')
  },
)
