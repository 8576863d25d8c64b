import type { Test } from 'tap'
import promises, { open } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

const functions = ['open', 'rename', 'rm', 'readdir', 'statfs'] as const
const methods = ['read', 'writev', 'stat'] as const
export const operations = [...functions, ...methods]
export type Operation = (typeof operations)[number]

/** What becomes of an operation: it runs, fails with this error, or hangs. */
export type Fate = undefined | Error | 'hang'

type AnyFunction = (...args: unknown[]) => Promise<unknown>

/** A disk in the test's hand: node:fs/promises and its file handles, for everybody in this process. */
export interface BrokenFs {
  /** Said of each operation before it runs. */
  decide: (operation: Operation) => Fate
  /** Operations that hang now. */
  readonly hanging: number
  /** Those that hang run now. */
  release(): void
}

/** All works until `decide` is set, and again when the test has ended. */
export async function breakFs(t: Test): Promise<BrokenFs> {
  let hanging: (() => void)[] = []
  const wrap = (name: Operation, original: AnyFunction): AnyFunction =>
    async function (this: unknown, ...args) {
      const fate = broken.decide(name)
      if (fate === 'hang') await new Promise<void>((resolve) => hanging.push(resolve))
      else if (fate) throw fate
      return original.apply(this, args)
    }
  const broken: BrokenFs = {
    decide: () => undefined,
    get hanging() {
      return hanging.length
    },
    release() {
      for (const go of hanging) go()
      hanging = []
    },
  }
  const handle = await open('/dev/null')
  replaceIn(t, promises as never, functions, wrap)
  replaceIn(t, Object.getPrototypeOf(handle) as never, methods, wrap)
  await handle.close()
  t.teardown(() => broken.release())
  return broken
}

function replaceIn(
  t: Test,
  object: Record<string, AnyFunction>,
  names: readonly Operation[],
  wrap: (name: Operation, original: AnyFunction) => AnyFunction,
): void {
  for (const name of names) {
    const original = object[name]!
    object[name] = wrap(name, original)
    t.teardown(() => {
      object[name] = original
      syncBuiltinESMExports()
    })
  }
  syncBuiltinESMExports()
}

/** Has statfs answer as the test wants, until it has ended. */
export function replaceStatfs(t: Test, statfs: () => Promise<Record<string, number>>): void {
  replaceIn(t, promises as never, ['statfs'], () => statfs)
}

/** An error as the system gives it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made up`), { code })
}
