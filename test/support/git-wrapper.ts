import type { Test } from 'tap'
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from './temp-dir.js'

/** A program to give as `--git`: counts what is started, and misbehaves as told. */
export interface GitWrapper {
  readonly path: string
  /** How often a Git command has been started. */
  count(command: string): number
  /**
   * The most processes for requests that ran at once, of those that count together; by default each `upload-pack` with
   * its like. One that was killed counts as if it ran on.
   */
  mostAtOnce(together?: (run: WrappedRun) => string | undefined): number
  /** The processes for requests, in the order in which they started. */
  runs(): WrappedRun[]
  /**
   * Shell lines that each process for a request runs from now on instead of Git, with `$dir` for a directory of the
   * wrapper's, or in front of it if they do not exit. undefined: nothing special.
   */
  plan(lines: string | undefined, command?: WrappedRun['command']): void
  /** The same for a command that is not run for one request. */
  planAny(command: string, lines: string): void
  /** Makes a file in the wrapper's directory, for a plan that waits for it. */
  signal(name: string): void
  /** Has a plan made this file? */
  saw(name: string): boolean
  /** What a plan wrote to a file. */
  read(name: string): string
}

/** A process for a request, as it was started. */
export interface WrappedRun {
  readonly command: 'upload-pack' | 'http-backend'
  /** The Git directory that it works on. */
  readonly repository: string
  /** Way of working and protocol; nothing for `http-backend`. */
  readonly kind: string
}

/** @param program the Git that it wraps */
export function makeGitWrapper(t: Test, program = 'git'): GitWrapper {
  const directory = tempDir(t)
  const file = (name: string): string => join(directory, name)
  writeFileSync(
    file('git'),
    `#!/bin/sh
dir='${directory}'
echo "$1" >> "$dir/calls"
case "$1" in
upload-pack) run="$1	$(pwd -P)	$3 $GIT_PROTOCOL" ;;
http-backend) run="$1	$(pwd -P)	" ;;
*)
  if [ -f "$dir/plan-$1" ]; then . "$dir/plan-$1"; fi
  exec '${program}' "$@"
  ;;
esac
echo "+$run" >> "$dir/runs"
trap 'echo "-$run" >> "$dir/runs"' EXIT
if [ -f "$dir/plan-$1" ]; then . "$dir/plan-$1"; fi
'${program}' "$@"
exit
`,
  )
  chmodSync(file('git'), 0o755)
  writeFileSync(file('calls'), '')
  writeFileSync(file('runs'), '')
  const events = (): Event[] => readFileSync(file('runs'), 'utf8').split('\n').filter(Boolean).map(parse)
  return {
    path: file('git'),
    count: (command) =>
      readFileSync(file('calls'), 'utf8')
        .split('\n')
        .filter((line) => line === command).length,
    mostAtOnce: (together = alike) => mostAtOnce(events(), together),
    runs: () => events().flatMap(({ starts, run }) => (starts ? run : [])),
    plan: (lines, command = 'upload-pack') => {
      if (lines === undefined) return rmSync(file(`plan-${command}`), { force: true })
      // Renamed into place: a process that starts meanwhile reads one plan or the other.
      writeFileSync(file('plan.new'), lines)
      renameSync(file('plan.new'), file(`plan-${command}`))
    },
    planAny: (command, lines) => writeFileSync(file(`plan-${command}`), `${lines}\n`),
    signal: (name) => writeFileSync(file(name), ''),
    saw: (name) => existsSync(file(name)),
    read: (name) => readFileSync(file(name), 'utf8'),
  }
}

interface Event {
  readonly starts: boolean
  readonly run: WrappedRun
}

function parse(line: string): Event {
  const [command, repository = '', kind = ''] = line.slice(1).split('\t')
  return {
    starts: line.startsWith('+'),
    run: { command: command as WrappedRun['command'], repository, kind },
  }
}

const alike = ({ command, repository, kind }: WrappedRun): string | undefined =>
  command === 'upload-pack' ? `${kind} ${repository}` : undefined

function mostAtOnce(events: readonly Event[], together: (run: WrappedRun) => string | undefined): number {
  const running = new Map<string, number>()
  let most = 0
  for (const { starts, run } of events) {
    const group = together(run)
    if (group === undefined) continue
    const count = (running.get(group) ?? 0) + (starts ? 1 : -1)
    running.set(group, count)
    most = Math.max(most, count)
  }
  return most
}

/** Plans: send the first bytes of the true answer, then wait, die, hang, or be cut short. */
export const plans = {
  /** Waits for the file `go`, then is Git. */
  wait: 'while [ ! -f "$dir/go" ]; do sleep 0.02; done\n',
  /** Waits half-way until the file `go` is there. */
  pause: (bytes: number): string =>
    `git "$@" > "$dir/out.$$"; head -c ${bytes} "$dir/out.$$"; : > "$dir/paused"
     while [ ! -f "$dir/go" ]; do sleep 0.01; done; tail -c +${bytes + 1} "$dir/out.$$"; exit 0\n`,
  dieAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; echo 'fatal: oops' >&2; exit 128\n`,
  cutAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; exit 0\n`,
  hangAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; : > "$dir/hanging"; exec sleep 1000\n`,
  killSelfAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; kill -9 $$\n`,
}
