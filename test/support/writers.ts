import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Random } from './random.js'
import { gitEnvironment } from './repositories.js'

const run = promisify(execFile)

/** The repository and tools of writers. */
export interface Workplace {
  /** The Git program that is run in the repository. */
  readonly git: string
  readonly repository: string
  /** The repository's URL at the sidecar, or at each node of a fleet. */
  readonly url: string | readonly string[]
  /** A clone that has all commits, to push from. */
  readonly clone: string
  /** Commits that refs are set to; all exist in the repository. */
  readonly commits: readonly string[]
}

/** The value of a register: a ref's object id, or HEAD's target; undefined: absent. */
export type Value = string | undefined

export interface Change {
  /** The values of the writer's registers after the change, if they differ. */
  readonly values: ReadonlyMap<string, Value>
  run(): Promise<unknown>
}

/** A program that changes a repository, one change after the other. No other writer has its registers. */
export interface Writer {
  readonly name: string
  readonly registers: readonly string[]
  /** Do its changes pass through the sidecar? Then they need no lease. */
  readonly throughSidecar?: boolean
  /** @param now the current values of its registers */
  next(now: ReadonlyMap<string, Value>, random: Random): Change
}

/** Hidden refs (transfer.hideRefs); see `packing`. */
export const hiddenRefs = 'refs/filler'

/** Returns a writer for every way in which Git changes refs. */
export function allWriters(place: Workplace): Writer[] {
  const { repository, url, clone, commits } = place
  const options = { env: gitEnvironment }
  const inPlace = (...args: string[]) => run(place.git, ['-C', repository, ...args], options)

  /** Sets some registers, and deletes some that exist. */
  const someOf = (registers: readonly string[], now: ReadonlyMap<string, Value>, random: Random) => {
    const chosen = registers.filter(() => random.below(2) === 0)
    if (chosen.length === 0) chosen.push(random.pick(registers))
    return new Map(
      chosen.map((register) => {
        const gone = now.get(register) !== undefined && random.below(3) === 0
        return [register, gone ? undefined : random.pick(commits)]
      }),
    )
  }
  const pushing = (name: string, program: string, to: readonly string[]): Writer => {
    const registers = ['one', 'two'].map((ref) => `refs/heads/${name}/${ref}`)
    const next: Writer['next'] = (now, random) => {
      const values = someOf(registers, now, random)
      const refspecs = [...values].map(([ref, commit = '']) => `${commit}:${ref}`)
      const push = ['-C', clone, 'push', '--quiet', '--force', random.pick(to), ...refspecs]
      return { values, run: () => run(program, push, options) }
    }
    return { name, registers, next }
  }
  const transactions: Writer = {
    name: 'transactions',
    registers: ['one', 'two', 'three'].map((ref) => `refs/heads/transaction/${ref}`),
    next(now, random) {
      const values = someOf(this.registers, now, random)
      const lines = [...values].map(([ref, commit]) => (commit ? `update ${ref} ${commit}` : `delete ${ref}`))
      return {
        values,
        run: () => {
          const transaction = inPlace('update-ref', '--stdin')
          // If Git ends early, its exit code tells why.
          transaction.child.stdin?.on('error', () => {})
          transaction.child.stdin?.end(['start', ...lines, 'commit', ''].join('\n'))
          return transaction
        },
      }
    },
  }
  /** Renames or deletes a branch that exists, or creates one that does not. */
  const renaming: Writer = {
    name: 'renaming',
    registers: ['one', 'two', 'three'].map((ref) => `refs/heads/renamed/${ref}`),
    next(now, random) {
      const short = (ref: string): string => ref.slice('refs/heads/'.length)
      const here = this.registers.filter((ref) => now.get(ref) !== undefined)
      const free = this.registers.filter((ref) => now.get(ref) === undefined)
      const from = random.pick(here)
      if (here.length > 0 && free.length > 0 && random.below(3) > 0) {
        const to = random.pick(free)
        const values = new Map([
          [from, undefined],
          [to, now.get(from)],
        ])
        return { values, run: () => inPlace('branch', '-m', short(from), short(to)) }
      }
      if (here.length > 1) {
        return { values: new Map([[from, undefined]]), run: () => inPlace('branch', '-D', short(from)) }
      }
      const ref = random.pick(free)
      const commit = random.pick(commits)
      return { values: new Map([[ref, commit]]), run: () => inPlace('branch', short(ref), commit) }
    },
  }
  /** Creates and removes directories under refs/ with their only ref. */
  const recreating: Writer = {
    name: 'recreating',
    registers: ['refs/heads/deep/er/one', 'refs/tags/two'],
    next(now, random) {
      const ref = random.pick(this.registers)
      const commit = now.get(ref) === undefined ? random.pick(commits) : undefined
      const args = commit ? [ref, commit] : ['-d', ref]
      return { values: new Map([[ref, commit]]), run: () => inPlace('update-ref', ...args) }
    },
  }
  const heading: Writer = {
    name: 'heading',
    registers: ['HEAD'],
    next(_now, random) {
      const target = random.pick(['refs/heads/main', 'refs/heads/still/0', 'refs/heads/still/1'])
      return { values: new Map([['HEAD', target]]), run: () => inPlace('symbolic-ref', 'HEAD', target) }
    },
  }
  /**
   * Moves refs to other files without changing visible refs; it may fail because others write (reftable). Each time
   * packed-refs gets another size, by a hidden ref with another name: Git takes the file for the one that it has read
   * before if inode, size and second are equal (packed-backend.c, validate_snapshot), and would return old values, which
   * is not a fault of refstream.
   */
  let filler = ''
  const packing: Writer = {
    name: 'packing',
    registers: [],
    next(_now, random) {
      const before = filler
      filler = `${hiddenRefs}/${'x'.repeat(1 + random.below(200))}`
      return {
        values: new Map(),
        run: async () => {
          if (before) await inPlace('update-ref', '-d', before)
          await inPlace('update-ref', filler, commits[0]!)
          await inPlace('pack-refs', '--all').catch(() => {})
        },
      }
    },
  }
  return [
    // A client's Git may differ from the server's.
    { ...pushing('pushed', 'git', [url].flat()), throughSidecar: true },
    pushing('carried', place.git, [repository]),
    transactions,
    renaming,
    recreating,
    heading,
    packing,
  ]
}
