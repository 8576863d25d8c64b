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

export function makeGitWrapper(t: Test): GitWrapper {
  const directory = tempDir(t)
  const file = (name: string): string => join(directory, name)
  writeFileSync(
    file('git'),
    `#!/bin/sh
dir='${directory}'
echo "$1" >> "$dir/calls"
if [ "$1" = upload-pack ] && [ -f "$dir/plan" ]; then . "$dir/plan"; fi
exec git "$@"
`,
  )
  chmodSync(file('git'), 0o755)
  writeFileSync(file('calls'), '')
  return {
    path: file('git'),
    count: (command) =>
      readFileSync(file('calls'), 'utf8')
        .split('\n')
        .filter((line) => line === command).length,
    plan: (lines) => (lines === undefined ? rmSync(file('plan')) : writeFileSync(file('plan'), lines)),
    signal: (name) => writeFileSync(file(name), ''),
    saw: (name) => existsSync(file(name)),
    read: (name) => readFileSync(file(name), 'utf8'),
  }
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
