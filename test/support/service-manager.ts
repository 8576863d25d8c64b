import type { Test } from 'tap'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { cleanEnvironment, program } from './sidecar.js'

/**
 * Opens two listening sockets on free ports of 127.0.0.1 as descriptors 3 and 4, and holds them; for each line on standard
 * input, runs the program with them as sd_listen_fds(3) describes, and prints when it has started and ended. A process of
 * Node cannot do this: it would accept the connections.
 */
const holder = `
  use strict; use IO::Handle; use Socket; use POSIX ();
  my ($names, @command) = @ARGV;
  $^F = 100;
  STDOUT->autoflush(1);
  my (@sockets, @ports);
  for my $index (0, 1) {
    socket($sockets[$index], PF_INET, SOCK_STREAM, 0) or die;
    bind($sockets[$index], sockaddr_in(0, INADDR_LOOPBACK)) or die;
    listen($sockets[$index], 512) or die;
    fileno($sockets[$index]) == 3 + $index or die 'another descriptor';
    push @ports, (sockaddr_in(getsockname($sockets[$index])))[0];
  }
  print qq({"ports":[$ports[0],$ports[1]]}\\n);
  while (<STDIN>) {
    my $child = fork;
    if ($child == 0) {
      open STDIN, '<', '/dev/null';
      @ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)} = ($$, 2, $names);
      s/LISTEN_PORT/$ports[0]/, s/ADMIN_PORT/$ports[1]/ for @command;
      exec { $command[0] } @command;
      die;
    }
    print qq({"started":$child}\\n);
    waitpid $child, 0;
    print qq({"ended":$?}\\n);
  }
`

/** A process that plays systemd with two socket units: it holds the sockets while refstream comes and goes. */
export interface ServiceManager {
  readonly url: string
  readonly adminUrl: string
  /** Starts refstream. Resolves when it listens, or has ended. @returns its process id */
  start(): Promise<number>
  /** Runs refstream until it ends by itself. @returns its wait status */
  run(): Promise<number>
  /** Resolves with the wait status of refstream when it has ended. */
  ended(): Promise<number>
  /** Sends a signal to refstream. @returns its wait status, when it has ended */
  stop(signal?: NodeJS.Signals): Promise<number>
}

/** @param names of the two sockets, separated by a colon */
export async function startServiceManager(
  t: Test,
  args: readonly string[],
  names = 'listen:admin',
): Promise<ServiceManager> {
  const addresses = ['--listen', '127.0.0.1:LISTEN_PORT', '--admin', '127.0.0.1:ADMIN_PORT']
  const command = [process.execPath, program, 'serve', ...addresses, ...args]
  const child = spawn('perl', ['-e', holder, '--', names, ...command], {
    env: cleanEnvironment,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let pid = 0
  t.teardown(() => {
    try {
      if (pid !== 0) process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended, which was not told yet.
    }
    child.kill('SIGKILL')
  })
  const waiting: { key: string; resolve: (value: unknown) => void }[] = []
  const next = (key: string): Promise<unknown> => new Promise((resolve) => waiting.push({ key, resolve }))
  createInterface(child.stdout).on('line', (line) => {
    const entry = JSON.parse(line) as Record<string, unknown>
    if (entry['started'] !== undefined) pid = entry['started'] as number
    if (entry['ended'] !== undefined) pid = 0
    for (const one of waiting.splice(0)) {
      const value = one.key === 'listening' ? entry['msg'] === 'listening' || undefined : entry[one.key]
      if (value === undefined) waiting.push(one)
      else one.resolve(value)
    }
  })
  const [listen, admin] = (await next('ports')) as [number, number]
  return {
    url: `http://127.0.0.1:${listen}`,
    adminUrl: `http://127.0.0.1:${admin}`,
    run: () => {
      child.stdin.write('start\n')
      return next('ended') as Promise<number>
    },
    ended: () => next('ended') as Promise<number>,
    start: async () => {
      const listening = Promise.race([next('listening'), next('ended')])
      child.stdin.write('start\n')
      await listening
      return pid
    },
    stop: async (signal = 'SIGTERM') => {
      const ended = next('ended')
      process.kill(pid, signal)
      return (await ended) as number
    },
  }
}
