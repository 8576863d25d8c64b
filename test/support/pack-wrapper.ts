import type { Test } from 'tap'
import { makeGitWrapper, type GitWrapper } from './git-wrapper.js'

/** A Git wrapper that tells the runs for packs from those for refs. */
export interface PackWrapper extends GitWrapper {
  /** Returns how many runs have started that may have made a pack: of `upload-pack` with a fetch, and of `http-backend`. */
  packs(): number
  /** Sets shell lines that each run for a pack executes from now on; Git's input is `$in`. See {@link packPlans}. */
  planPacks(lines: string | undefined): void
}

/** Runs of `upload-pack --stateless-rpc` differ only in their input: it is kept in a file and then given to Git. */
const separate = `if [ "$3" = --stateless-rpc ]; then
  in="$dir/in.$$"
  cat > "$in"
  case "$(head -c 20 "$in" | tr -d '\\0')" in
  *command=ls-refs*) ;;
  *)
    echo pack >> "$dir/calls"
    if [ -f "$dir/plan-pack" ]; then . "$dir/plan-pack"; fi
    ;;
  esac
  exec < "$in"
fi
`

/** Wraps the Git program that tests run. */
export function makePackWrapper(t: Test): PackWrapper {
  const wrapper = makeGitWrapper(t)
  wrapper.plan(separate)
  return {
    ...wrapper,
    packs: () => wrapper.count('pack') + wrapper.count('http-backend'),
    planPacks: (lines = '') => wrapper.planAny('pack', lines),
  }
}

/** Plans for runs that make packs. Waiting ends when the test makes a file: `wrapper.signal(name)`. */
export const packPlans = {
  /** Waits before Git starts. */
  waitFor: (name: string): string => `while [ ! -f "$dir/${name}" ]; do sleep 0.02; done`,
  /** Sends so many bytes of Git's answer, makes the file `paused`, and waits before it sends the rest. */
  pauseAfter: (bytes: number, name: string): string =>
    `git "$@" < "$in" > "$dir/out.$$"; head -c ${bytes} "$dir/out.$$"; : > "$dir/paused"
     while [ ! -f "$dir/${name}" ]; do sleep 0.02; done; tail -c +${bytes + 1} "$dir/out.$$"; exit 0`,
  /** Sends so many bytes, waits, and fails. */
  dieAfter: (bytes: number, name: string): string =>
    `git "$@" < "$in" | head -c ${bytes}; : > "$dir/paused"
     while [ ! -f "$dir/${name}" ]; do sleep 0.02; done; echo 'fatal: oops' >&2; exit 128`,
  /** The first run fails without output when the file is there; later runs are Git's own. */
  dieOnce: (name: string): string =>
    `if mkdir "$dir/died" 2> /dev/null; then
       while [ ! -f "$dir/${name}" ]; do sleep 0.02; done; echo 'fatal: oops' >&2; exit 128
     fi`,
  /** Sends so many bytes, makes the file `paused`, and does nothing until it is killed. */
  hangAfter: (bytes: number): string =>
    `git "$@" < "$in" | head -c ${bytes}; : > "$dir/paused"; exec sleep 1000`,
}
