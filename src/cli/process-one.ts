import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { isatty } from 'node:tty'
import { fileURLToPath } from 'node:url'

/** Since Node 22.15. */
interface Execve {
  readonly execve?: (file: string, args: readonly string[], environment: NodeJS.ProcessEnv) => never
}

/** The number of prctl(2), by architecture. */
const prctl: Readonly<Record<string, number>> = { x64: 157, arm64: 167 }

/**
 * Adopts orphans in place of process 1 (PR_SET_CHILD_SUBREAPER is 36), runs the command and reaps. 126: it cannot.
 * Arguments: the number of prctl(2), the names of signals to hand on with commas in between, the command.
 */
const subreaper = `
  my ($prctl, $signals, @command) = @ARGV;
  syscall($prctl + 0, 36, 1, 0, 0, 0) == 0 or exit 126;
  my $child = fork;
  defined $child or exit 126;
  if ($child == 0) { exec { $command[0] } @command; exit 127 }
  $SIG{INT} = sub {};
  for my $name (split /,/, $signals) { $SIG{$name} = sub { kill $name, $child } }
  while (1) {
    my $ended = wait;
    if ($ended == $child) { exit($? & 127 ? 128 + ($? & 127) : $? >> 8) }
  }
`

/**
 * Runs the program that is asked for such that somebody reaps the children that others leave to process 1, if this is
 * process 1: Node knows only those that it has started. Resolves at once if this is another process, or there is no way:
 * then it is for this one to do the work. With a way it never comes back.
 *
 * The ways: another program in this place, a shell that reaps, where Node can do that; below this process one that
 * adopts orphans in its place, for which Perl is needed, which most installations of Git bring.
 */
export async function leaveProcessOne(): Promise<void> {
  if (process.pid !== 1) return
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const { execve } = process as Execve
  const supervise = fileURLToPath(new URL('supervise', import.meta.url))
  // It ends the program where it fails.
  if (existsSync('/bin/sh')) execve?.('/bin/sh', ['/bin/sh', supervise, ...command], process.env)
  const number = prctl[process.arch]
  if (process.platform !== 'linux' || number === undefined) return
  // A terminal sends an interrupt to all.
  const signals: NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', ...(isatty(0) ? [] : (['SIGINT'] as const))]
  const names = signals.map((signal) => signal.slice('SIG'.length)).join(',')
  const child = spawn('perl', ['-e', subreaper, '--', String(number), names, ...command], {
    stdio: 'inherit',
  })
  const handOn = (signal: NodeJS.Signals): void => void child.kill(signal)
  for (const signal of signals) process.on(signal, handOn)
  const ignore = (): void => {}
  process.on('SIGINT', ignore)
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(126))
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals]))
  })
  if (code !== 126) process.exit(code)
  for (const signal of signals) process.off(signal, handOn)
  process.off('SIGINT', ignore)
}
