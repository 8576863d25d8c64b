import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Random } from '../random.js'
import { gitEnvironment } from '../repositories.js'
import type { Value, Workplace, Writer } from '../writers.js'

const run = promisify(execFile)

/** Names of refs that no writer changes: a few thousand, before, between and behind those that change. */
export const constantNames: readonly string[] = [
  'alias-',
  'conflict-',
  'kept/',
  'near',
  'renamed-',
  'zz/',
].flatMap((prefix) => Array.from({ length: 600 }, (_, index) => `refs/heads/${prefix}${1000 + index}`))

/** The beginnings of the names that each of the writers changes. */
export const families = {
  /** Deleted where it is packed, and where it is loose and packed. */
  packed: 'refs/heads/kept/',
  /** A symbolic ref, and the refs that it points to. */
  symbolic: 'refs/heads/alias',
  /** A file that becomes a directory, and back. */
  conflicting: 'refs/heads/conflict',
  /** Names that are prefixes of one another. */
  near: 'refs/heads/near',
} as const

const isDone = (): boolean => true
const isNotDone = (): boolean => false

/** Returns writers that give splices all kinds of work. */
export function splicedWriters({ git, repository, commits }: Workplace): Writer[] {
  const options = { env: gitEnvironment }
  const inPlace = (...args: string[]) => run(git, ['-C', repository, ...args], options)
  const transact = (lines: readonly string[]): Promise<unknown> => {
    const transaction = inPlace('update-ref', '--stdin')
    // If Git ends early, its exit code tells why.
    transaction.child.stdin?.on('error', () => {})
    transaction.child.stdin?.end([...lines, ''].join('\n'))
    return transaction
  }
  const alone = (command: string): string[] => ['start', command, 'commit']

  /** Packs its refs after it has set them; other writers may pack at the same time, which may fail. */
  const packed: Writer = {
    name: 'packed',
    // The names have other lengths than others, and so does packed-refs with them: see `packing` in writers.ts.
    registers: ['one-and-only', 'a-second-one-that-is-longer'].map((name) => families.packed + name),
    next(now, random) {
      const register = random.pick(this.registers)
      const isThere = now.get(register) !== undefined
      const value = isThere && random.below(2) === 0 ? undefined : random.pick(commits)
      return {
        values: new Map([[register, value]]),
        run: async () => {
          await inPlace('update-ref', ...(value === undefined ? ['-d', register] : [register, value]))
          if (value !== undefined && random.below(2) === 0)
            await inPlace('pack-refs', '--all').catch(() => {})
        },
      }
    },
  }
  /** Changes where the symbolic ref points to, or what is there. */
  const symbolic: Writer = {
    name: 'symbolic',
    registers: ['', '-target', '-0'].map((name) => families.symbolic + name),
    next(now, random) {
      const [alias, ...targets] = this.registers
      const target = random.pick(targets)
      const commit = now.get(target) !== undefined && random.below(4) === 0 ? undefined : random.pick(commits)
      if (random.below(2) === 0) {
        const values = new Map<string, Value>([[alias!, now.get(target)]])
        aliasTarget = target
        return { values, run: () => inPlace('symbolic-ref', alias!, target) }
      }
      const values = new Map<string, Value>([[target, commit]])
      if (aliasTarget === target) values.set(alias!, commit)
      return {
        values,
        run: () => inPlace('update-ref', '--no-deref', ...(commit ? [target, commit] : ['-d', target])),
      }
    },
  }
  /** Where the symbolic ref points to; undefined: it is not there yet. */
  let aliasTarget: string | undefined
  const conflicting: Writer = {
    name: 'conflicting',
    registers: ['', '/below', '/below/it'].map((name) => families.conflicting + name),
    next(now, random) {
      const there = this.registers.find((register) => now.get(register) !== undefined)
      const next = random.pick(this.registers.filter((register) => register !== there))
      const commit = random.pick(commits)
      const values = new Map<string, Value>([[next, commit]])
      if (there) values.set(there, undefined)
      const change = async (): Promise<void> => {
        if (there) await transact(alone(`delete ${there}`))
        const create = (): Promise<unknown> => transact(alone(`create ${next} ${commit}`))
        // While another writer packs, a lock file of its may keep a directory where the ref is to be.
        for (let tries = 0; tries < 20; tries++) {
          if (await create().then(isDone, isNotDone)) return
          await sleep(20)
        }
        await create()
      }
      return { values, run: change }
    },
  }
  const near: Writer = {
    name: 'near',
    registers: ['', '-', '1', '10000'].map((name) => families.near + name),
    next(now: ReadonlyMap<string, Value>, random: Random) {
      const values = new Map<string, Value>()
      for (const register of this.registers) {
        if (random.below(2) === 0) continue
        const isGone = now.get(register) !== undefined && random.below(3) === 0
        values.set(register, isGone ? undefined : random.pick(commits))
      }
      const lines = [...values].map(([ref, commit]) => (commit ? `update ${ref} ${commit}` : `delete ${ref}`))
      return { values, run: () => transact(['start', ...lines, 'commit']) }
    },
  }
  return [packed, symbolic, conflicting, near]
}
