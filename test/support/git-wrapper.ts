import type { Test } from 'tap'
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from './temp-dir.js'

/** A program for `--git` that counts its runs, and fails as planned. */
export interface GitWrapper {
  readonly path: string
  /** Returns how often a Git command has been started. */
  count(command: string): number
  /**
   * Returns the most processes for requests that ran at once, of those in one group; by default each `upload-pack` with
   * those of its kind and repository. One that was killed counts as running.
   */
  mostAtOnce(together?: (run: WrappedRun) => string | undefined): number
  /** Returns the processes for requests, in the order in which they started. */
  runs(): WrappedRun[]
  /**
   * Sets shell lines that each process for a request runs from now on before Git, or instead of it if they exit; `$dir` is
   * the wrapper's directory. undefined: none.
   */
  plan(lines: string | undefined, command?: WrappedRun['command']): void
  /** The same for other commands. */
  planAny(command: string, lines: string): void
  /** Makes a file in the wrapper's directory, for which a plan waits. */
  signal(name: string): void
  /** Has a plan made this file? */
  hasFile(name: string): boolean
  /** Returns what a plan wrote to a file. */
  read(name: string): string
}

/** The start of a process for a request. */
export interface WrappedRun {
  readonly command: 'upload-pack' | 'http-backend'
  /** The Git directory that it works on. */
  readonly repository: string
  /** Mode and protocol of `upload-pack`; empty for `http-backend`. */
  readonly kind: string
}

/** @param program the Git program that is wrapped */
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
    hasFile: (name) => existsSync(file(name)),
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

/** Plans that send the first bytes of the real answer, then wait, fail, hang, or end. */
export const plans = {
  /** Waits for the file `go`, then runs Git. */
  wait: 'while [ ! -f "$dir/go" ]; do sleep 0.02; done\n',
  /** Waits after so many bytes until the file exists. */
  pause: (bytes: number, name = 'go'): string =>
    `git "$@" > "$dir/out.$$"; head -c ${bytes} "$dir/out.$$"; : > "$dir/paused"
     while [ ! -f "$dir/${name}" ]; do sleep 0.01; done; tail -c +${bytes + 1} "$dir/out.$$"; exit 0\n`,
  dieAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; echo 'fatal: oops' >&2; exit 128\n`,
  cutAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; exit 0\n`,
  hangAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; : > "$dir/hanging"; exec sleep 1000\n`,
  killSelfAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; kill -9 $$\n`,
}
