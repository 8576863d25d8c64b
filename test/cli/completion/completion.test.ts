import t from 'tap'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { runCommand } from '../../support/command.js'
import { cleanEnvironment } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'
import { outputOf, skipReason } from '../../support/upstreams/programs.js'

/** Returns a directory with the shell's script and files to complete. */
async function prepare(t: Test, shell: string): Promise<string> {
  const place = tempDir(t)
  const { status, stdout, stderr } = await runCommand(['completion', shell])
  t.match({ status, stderr }, { status: 0, stderr: '' })
  writeFileSync(join(place, 'script'), stdout)
  mkdirSync(join(place, 'repositories'))
  writeFileSync(join(place, 'repair.toml'), '')
  return place
}

const ready = 'ready> '

/**
 * Types lines into an interactive shell on a terminal, each when the one before has been answered.
 * @returns the arguments that the last line gave to the command refstream, one in each pair of angle brackets
 */
async function type(t: Test, place: string, shell: string, lines: readonly string[]): Promise<string> {
  const rest = [`PS1='${ready}'`, `refstream() { printf '<%s>' "$@"; echo; }`, ...lines, 'exit']
  const child = spawn('script', ['-qefc', shell, '/dev/null'], {
    cwd: place,
    env: { ...cleanEnvironment, TERM: 'dumb', HOME: place },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  let seen = 0
  child.stdin.write(`${rest.shift()}\n`)
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString()
    // The echo of the first line has it too, before a quote.
    const prompts = output.split(ready).length - 1
    if (prompts <= seen) return
    seen = prompts
    const line = rest.shift()
    if (line !== undefined) child.stdin.write(`${line}\n`)
  })
  await new Promise((resolve) => child.once('close', resolve))
  return [...output.matchAll(/^(?:<[^>\n]*>)+\r?$/gm)].map(([line]) => line.trim()).join(' ')
}

const noTerminal = outputOf('script', '--version') === undefined ? 'script is not installed' : undefined
const missing = (shell: string): string | undefined =>
  outputOf(shell, '--version') === undefined ? `${shell} is not installed` : undefined

/** What is typed, a tab being the key, and what the command must get. */
const typed: readonly (readonly [keys: string, args: string])[] = [
  ['refstream ser\t--spl\tof\t', '<serve><--splice><off>'],
  ['refstream serve --root rep\t', '<serve><--root><repositories>'],
  ['refstream serve --conf\trepa\t', '<serve><--config><repair.toml>'],
  ['refstream serve --no-grpc-r\t', '<serve><--no-grpc-reflection>'],
  ['refstream conf\tch\trepa\t', '<config><check><repair.toml>'],
  ['refstream lease r\t--ttl\t5', '<lease><run><--ttl-seconds><5>'],
  ['refstream completion f\t', '<completion><fish>'],
]

// All before the first test, which records what is written to standard error meanwhile.
const skips = {
  bash: skipReason('completion in bash', noTerminal ?? missing('bash')),
  zsh: skipReason('completion in zsh', noTerminal ?? missing('zsh')),
  fish: skipReason('completion in fish', missing('fish')),
}

for (const [shell, command] of [
  ['bash', 'bash --norc --noprofile -i'],
  ['zsh', 'zsh -f -i'],
] as const) {
  const skip = skips[shell]
  t.test(`${shell} completes commands, flags, values and files`, { skip }, async (t) => {
    const place = await prepare(t, shell)
    const load =
      shell === 'zsh' ? ['autoload -U compinit && compinit -D -u', 'unsetopt list_beep auto_list'] : []
    const keys = typed.map(([keys]) => keys)
    const args = (await type(t, place, command, [...load, 'source ./script', ...keys])).split(' ')
    t.same(
      // zsh takes --root=x, and drops the slash when the line ends.
      args.map((each) => each.replace('=', '><').replace('/>', '>')),
      typed.map(([, args]) => args),
    )
  })
}

t.test('bash completes a value after an equals sign', { skip: noTerminal ?? false }, async (t) => {
  const place = await prepare(t, 'bash')
  const lines = ['source ./script', 'refstream serve --splice=of\t --root=rep\t']
  t.equal(
    await type(t, place, 'bash --norc --noprofile -i', lines),
    '<serve><--splice=off><--root=repositories/>',
  )
})

t.test('fish completes commands, flags, values and files', { skip: skips.fish }, async (t) => {
  const place = await prepare(t, 'fish')
  const ask = (line: string): string[] => {
    const args = ['--no-config', '-c', `source ./script; complete -C '${line}'`]
    const { stdout } = spawnSync('fish', args, {
      cwd: place,
      encoding: 'utf8',
      env: { ...cleanEnvironment, HOME: place },
    })
    return stdout
      .trimEnd()
      .split('\n')
      .map((each) => each.split('\t')[0] ?? '')
  }
  t.same(ask('refstream ser'), ['serve'])
  t.same(ask('refstream serve --spl'), ['--splice'])
  t.same(ask('refstream serve --splice o'), ['off', 'on'])
  t.same(ask('refstream serve --root rep'), ['repositories/'])
  t.same(ask('refstream config check repa'), ['repair.toml'])
  t.same(ask('refstream lease r'), ['run'])
  t.same(ask('refstream completion f'), ['fish'])
})

t.test('an unknown shell is refused', async (t) => {
  t.match(await runCommand(['completion', 'csh']), { status: 2, stderr: /'csh'.*bash, zsh, fish/ })
})
