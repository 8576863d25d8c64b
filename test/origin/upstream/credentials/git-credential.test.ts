import t, { type Test } from 'tap'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Git, type Complaint } from '../../../../src/git/process/git.js'
import { ProcessLimiter } from '../../../../src/limits/process/process-limiter.js'
import { GitCredential } from '../../../../src/origin/upstream/credentials/git-credential.js'
import { eventually } from '../../../support/eventually.js'
import { FakeClock } from '../../../support/fake-clock.js'
import { gitEnvironment } from '../../../support/repositories.js'
import { tempDir } from '../../../support/temp-dir.js'

const url = 'https://git.example:8443/base'
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`

/**
 * A credential from a Git whose `credential fill` prints the file `answer`, and whose commands are written to `log`, with
 * their input.
 */
function scripted(t: Test, script = '') {
  const directory = tempDir(t)
  const file = (name: string): string => join(directory, name)
  writeFileSync(
    file('git'),
    `#!/bin/sh
cd '${directory}'
input=$(cat)
${script}
printf '%s\\n%s\\n--\\n' "$*" "$input" >> log
[ "$2" != fill ] || cat answer || exit 128
`,
  )
  chmodSync(file('git'), 0o755)
  writeFileSync(file('log'), '')
  const clock = new FakeClock()
  const complaints: Complaint[] = []
  const limits = { perGroup: 1, queueMax: 1, waitMs: 1000 }
  const limiter = new ProcessLimiter({ limit: 3, fill: limits, pack: { ...limits, most: 1 }, pass: limits })
  const git = new Git({
    path: file('git'),
    environment: { ...gitEnvironment, GIT_ASKPASS: '/bin/false' },
    limiter,
    complained: (complaint) => complaints.push(complaint),
  })
  t.teardown(() => git.killAll())
  const refused: string[] = []
  const epochMs = 1_700_000_000_000
  const make = (limitMs = 10_000) =>
    new GitCredential({
      git,
      url,
      limitMs,
      events: { refused: (url) => refused.push(url) },
      clock,
      now: () => epochMs + clock.now(),
      random: () => 0.999,
    })
  return {
    source: make(),
    make,
    clock,
    complaints,
    refused,
    limiter,
    file,
    answer: (...lines: string[]) => writeFileSync(file('answer'), lines.map((line) => `${line}\n`).join('')),
    /** The commands so far. */
    actions: () =>
      readFileSync(file('log'), 'utf8')
        .split('\n')
        .flatMap((line) => /^credential (\w+)$/.exec(line)?.[1] ?? []),
    log: () => readFileSync(file('log'), 'utf8'),
    /** Unix time after so many seconds. */
    after: (seconds: number) => Math.round((epochMs + clock.now()) / 1000) + seconds,
  }
}

t.test('helpers are asked once, by protocol, host and path', async (t) => {
  const { source, answer, log, actions, limiter } = scripted(t)
  answer('protocol=https', 'host=git.example:8443', 'username=alice', 'password=se=cret')
  const values = await Promise.all([source.get(), source.get(), source.get()])
  t.same(values, Array(3).fill(basic('alice:se=cret')))
  t.equal(await source.get(), basic('alice:se=cret'), 'kept')
  t.same(actions(), ['fill'])
  t.match(
    log(),
    /^credential fill\ncapability\[\]=authtype\nprotocol=https\nhost=git\.example:8443\npath=base\n--\n$/,
  )
  t.equal(limiter.running(), 0, 'the permit is released')
})

t.test('a command never prompts, and does not run in a repository', async (t) => {
  const { source, answer, file } = scripted(t, 'env > "$PWD/env"; echo "$OLDPWD" > "$PWD/cwd"')
  answer('username=a', 'password=b')
  await source.get()
  const environment = readFileSync(file('env'), 'utf8')
  t.match(environment, /^GIT_TERMINAL_PROMPT=0$/m)
  t.match(environment, /^GIT_ASKPASS=$/m)
  t.match(environment, /^SSH_ASKPASS=$/m)
  t.equal(readFileSync(file('cwd'), 'utf8'), '/\n')
})

t.test('credentials of other schemes than Basic', async (t) => {
  const { make, answer } = scripted(t)
  answer('capability[]=authtype', 'authtype=Bearer', 'credential=abc.def', 'username=a', 'password=b')
  t.equal(await make().get(), 'Bearer abc.def')
  answer('authtype=Bear er', 'credential=abc\u0007')
  t.equal(await make().get(), undefined, 'one that is no header value is not sent')
  answer('username=a')
  t.equal(await make().get(), undefined)
})

t.test('a credential that expires is asked for again shortly before', async (t) => {
  const { source, answer, actions, clock, after } = scripted(t)
  answer('username=a', 'password=1', `password_expiry_utc=${after(100)}`)
  t.equal(await source.get(), basic('a:1'))
  answer('username=a', 'password=2', `password_expiry_utc=${after(8 + 89)}`)
  clock.advance(89_000)
  t.equal(await source.get(), basic('a:1'))
  t.same(actions(), ['fill'])
  clock.advance(1_500)
  t.equal(await source.get(), basic('a:2'))
  t.same(actions(), ['fill', 'fill'])
  answer('username=a', 'password=3')
  clock.advance(2_000)
  t.equal(await source.get(), basic('a:2'), 'a short life is used for its first half at least')
  clock.advance(2_000)
  t.equal(await source.get(), basic('a:3'))
})

t.test('helpers are told once that a credential was accepted', async (t) => {
  const { source, answer, actions, log } = scripted(t)
  answer('protocol=https', 'host=h', 'username=a', 'password=1', 'state[]=x')
  const value = (await source.get()) as string
  source.accepted('Basic other')
  source.accepted(value)
  source.accepted(value)
  await eventually('approved', () => actions().includes('approve'))
  t.same(actions(), ['fill', 'approve'])
  source.accepted(value)
  t.match(log(), /credential approve\nprotocol=https\nhost=h\nusername=a\npassword=1\nstate\[\]=x\n--\n$/)
  t.equal(await source.get(), value)
  t.same(actions(), ['fill', 'approve'])
})

t.test('a credential that was never accepted is rejected, and asked for again', async (t) => {
  const { source, answer, actions, log, refused } = scripted(t)
  answer('username=a', 'password=old')
  const value = (await source.get()) as string
  source.rejected('Basic other')
  t.same(refused, [])
  answer('username=a', 'password=new')
  source.rejected(value)
  source.rejected(value)
  t.same(refused, [url], 'reported once')
  t.same(await Promise.all([source.get(), source.get()]), [basic('a:new'), basic('a:new')])
  t.same(actions(), ['fill', 'reject', 'fill'])
  t.match(log(), /credential reject\nusername=a\npassword=old\n--/)
})

t.test('one that was accepted before is not erased, and stays in use until there is another', async (t) => {
  const { source, answer, actions, clock } = scripted(t)
  answer('username=a', 'password=1')
  const value = (await source.get()) as string
  source.accepted(value)
  await eventually('approved', () => actions().includes('approve'))
  t.same(actions(), ['fill', 'approve'])
  source.rejected(value)
  t.equal(await source.get(), value, 'the helper has no other')
  t.equal(await source.get(), value)
  source.rejected(value)
  t.equal(await source.get(), value)
  t.same(actions(), ['fill', 'approve', 'fill'], 'paced')
  clock.advance(2000)
  t.equal(await source.get(), value)
  t.equal(await source.get(), value)
  clock.advance(2000)
  t.equal(await source.get(), value)
  t.equal(actions().length, 4, 'the pauses grow')
  answer('username=a', 'password=2')
  clock.advance(4000)
  t.equal(await source.get(), basic('a:2'))
  source.accepted(basic('a:2'))
  await eventually('approved', () => actions().length === 6)
  t.same(actions().slice(-2), ['fill', 'approve'])
})

t.test('without a credential, requests go without one, and helpers are asked at intervals', async (t) => {
  const { source, answer, actions, clock, complaints } = scripted(t, 'echo secret >&2')
  t.equal(await source.get(), undefined)
  t.equal(await source.get(), undefined)
  t.equal(await source.get(), undefined)
  t.same(actions(), ['fill', 'fill'], 'the second failure begins a pause')
  t.match(complaints[0], { command: 'credential', where: url, stderr: '', ending: 'exit code 128' })
  answer('username=a', 'password=1')
  clock.advance(2000)
  t.equal(await source.get(), basic('a:1'))
})

t.test('a helper that hangs is ended, and its failure is shared and paced', async (t) => {
  const { make, file, limiter } = scripted(t, 'echo $$ > pid; exec sleep 1000')
  const source = make(300)
  const failure = {
    name: 'CredentialsUnavailable',
    message: `Git’s credential helpers for ${url}: do not answer in time`,
  }
  await Promise.all([t.rejects(source.get(), failure), t.rejects(source.get(), failure)])
  const pid = Number(readFileSync(file('pid'), 'utf8'))
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
  t.equal(limiter.running(), 0)
  await t.rejects(source.get(), failure)
  const started = readFileSync(file('pid'), 'utf8')
  await t.rejects(source.get(), failure)
  t.equal(readFileSync(file('pid'), 'utf8'), started, 'no further process during the pause')
})

t.test('a Git that cannot be started', async (t) => {
  const git = new Git({ path: '/nonexistent/git', environment: gitEnvironment })
  await t.rejects(new GitCredential({ git, url }).get(), {
    name: 'CredentialsUnavailable',
    message: /ENOENT/,
  })
})

t.test('a URL that cannot be written in the helpers’ protocol', async (t) => {
  const git = new Git({ path: 'git', environment: gitEnvironment })
  t.throws(() => new GitCredential({ git, url: 'https://h/%0ahost=x' }), TypeError)
})

t.test('Git and its own store', async (t) => {
  const directory = tempDir(t)
  const store = join(directory, 'store')
  const config = join(directory, 'config')
  writeFileSync(store, 'https://alice:p%40ss@git.example%3a8443\nhttps://bob:x@other.example\n')
  writeFileSync(
    config,
    `[credential]\n\thelper = store --file=${store}\n[core]\n\taskPass = touch ${directory}/asked; echo\n`,
  )
  const git = new Git({ path: 'git', environment: { ...gitEnvironment, GIT_CONFIG_GLOBAL: config } })
  const source = new GitCredential({ git, url })
  t.equal(await source.get(), basic('alice:p@ss'))
  source.accepted(basic('alice:p@ss'))
  const none = new GitCredential({ git, url: 'https://third.example' })
  t.equal(await none.get(), undefined)
  t.notOk(existsSync(join(directory, 'asked')), 'nobody was asked')
  const bad = new GitCredential({ git, url: 'https://other.example' })
  const value = (await bad.get()) as string
  t.equal(value, basic('bob:x'))
  bad.rejected(value)
  t.equal(await bad.get(), undefined)
  t.notMatch(readFileSync(store, 'utf8'), /bob/, 'the store has erased it')
  await eventually('approved', () => git.running === 0)
  t.match(readFileSync(store, 'utf8'), /alice/)
})
