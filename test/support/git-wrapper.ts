import type { Test } from 'tap'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from './temp-dir.js'

/** A program to give as `--git`: counts what is started, and misbehaves as told. */
export interface GitWrapper {
  readonly path: string
  /** How often a Git command has been started. */
  count(command: string): number
  /**
   * The most `upload-pack` of one kind (way of working, protocol, repository) that ran at once. One that was killed
   * counts as if it ran on.
   */
  mostAtOnce(): number
  /**
   * Shell lines that each `upload-pack` runs from now on instead of Git, with `$dir` for a directory of the wrapper's,
   * or in front of it if they do not exit. undefined: nothing special.
   */
  plan(lines: string | undefined): void
  /** Makes a file in the wrapper's directory, for a plan that waits for it. */
  signal(name: string): void
  /** Has a plan made this file? */
  saw(name: string): boolean
  /** What a plan wrote to a file. */
  read(name: string): string
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
[ "$1" = upload-pack ] || exec '${program}' "$@"
kind="$2 $GIT_PROTOCOL $3"
echo "+ $kind" >> "$dir/runs"
trap 'echo "- $kind" >> "$dir/runs"' EXIT
if [ -f "$dir/plan" ]; then . "$dir/plan"; fi
'${program}' "$@"
exit
`,
  )
  chmodSync(file('git'), 0o755)
  writeFileSync(file('calls'), '')
  writeFileSync(file('runs'), '')
  return {
    path: file('git'),
    count: (command) =>
      readFileSync(file('calls'), 'utf8')
        .split('\n')
        .filter((line) => line === command).length,
    mostAtOnce: () => mostAtOnce(readFileSync(file('runs'), 'utf8').trim().split('\n')),
    plan: (lines) => (lines === undefined ? rmSync(file('plan')) : writeFileSync(file('plan'), lines)),
    signal: (name) => writeFileSync(file(name), ''),
    saw: (name) => existsSync(file(name)),
    read: (name) => readFileSync(file(name), 'utf8'),
  }
}

/** @param lines `+ kind` when one starts, `- kind` when it ends */
function mostAtOnce(lines: readonly string[]): number {
  const running = new Map<string, number>()
  let most = 0
  for (const line of lines) {
    const kind = line.slice(2)
    const count = (running.get(kind) ?? 0) + (line.startsWith('+') ? 1 : -1)
    running.set(kind, count)
    most = Math.max(most, count)
  }
  return most
}

/** Plans: send the first bytes of the true answer, then wait, die, hang, or be cut short. */
export const plans = {
  /** Waits half-way until the file `go` is there. */
  pause: (bytes: number): string =>
    `git "$@" > "$dir/out.$$"; head -c ${bytes} "$dir/out.$$"; : > "$dir/paused"
     while [ ! -f "$dir/go" ]; do sleep 0.01; done; tail -c +${bytes + 1} "$dir/out.$$"; exit 0\n`,
  dieAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; echo 'fatal: oops' >&2; exit 128\n`,
  cutAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; exit 0\n`,
  hangAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; : > "$dir/hanging"; exec sleep 1000\n`,
  killSelfAfter: (bytes: number): string => `git "$@" | head -c ${bytes}; kill -9 $$\n`,
}
