import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { isatty } from 'node:tty'
import { fileURLToPath } from 'node:url'

/** Available since Node 22.15. */
interface Execve {
  readonly execve?: (file: string, args: readonly string[], environment: NodeJS.ProcessEnv) => never
}

/** System call number of prctl(2) by architecture. */
const prctl: Readonly<Record<string, number>> = { x64: 157, arm64: 167 }

/**
 * A Perl program that becomes a subreaper (PR_SET_CHILD_SUBREAPER is 36), runs the command, and reaps orphans in place of
 * process 1. Exits with 126 if it cannot.
 * Arguments: the number of prctl(2), the names of the signals to forward, separated by commas, and the command.
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
 * If this is process 1, runs the same command under a program that reaps orphans, which Node does not: it reaps only
 * processes that it has started. Then it does not return. Resolves at once if this is another process, or if neither way
 * below works: then this process must do the work itself.
 *
 * The first way replaces this process by a shell that reaps (execve(2), where Node has it). The second starts a subreaper
 * below this process; it needs Perl, which most installations of Git include.
 */
export async function leaveProcessOne(): Promise<void> {
  if (process.pid !== 1) return
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const { execve } = process as Execve
  const supervise = fileURLToPath(new URL('supervise', import.meta.url))
  // execve ends the process if it fails.
  if (existsSync('/bin/sh')) execve?.('/bin/sh', ['/bin/sh', supervise, ...command], process.env)
  const number = prctl[process.arch]
  if (process.platform !== 'linux' || number === undefined) return
  // A terminal sends SIGINT to all its processes.
  const signals: NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', ...(isatty(0) ? [] : (['SIGINT'] as const))]
  const names = signals.map((signal) => signal.slice('SIG'.length)).join(',')
  const child = spawn('perl', ['-e', subreaper, '--', String(number), names, ...command], {
    stdio: 'inherit',
  })
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
  for (const signal of signals) process.on(signal, forward)
  const ignore = (): void => {}
  process.on('SIGINT', ignore)
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(126))
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals]))
  })
  if (code !== 126) process.exit(code)
  for (const signal of signals) process.off(signal, forward)
  process.off('SIGINT', ignore)
}
