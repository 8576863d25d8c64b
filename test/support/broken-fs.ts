import type { Test } from 'tap'
import promises, { open } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

const functions = ['open', 'rename', 'rm', 'readdir', 'statfs'] as const
const methods = ['read', 'writev', 'stat'] as const
export const operations = [...functions, ...methods]
export type Operation = (typeof operations)[number]

/** What an operation does: it runs (undefined), fails with this error, or hangs. */
export type Fate = undefined | Error | 'hang'

type AnyFunction = (...args: unknown[]) => Promise<unknown>

/** Controls node:fs/promises and its file handles, for the whole process. */
export interface BrokenFs {
  /** Called for each operation before it runs. */
  decide: (operation: Operation) => Fate
  /** Operations that hang now. */
  readonly hanging: number
  /** Lets the operations run that hang. */
  release(): void
}

/** Takes control of the disk; all operations run until `decide` is set, and again after the test. */
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

/** Replaces statfs() until the end of the test. */
export function replaceStatfs(t: Test, statfs: () => Promise<Record<string, number>>): void {
  replaceIn(t, promises as never, ['statfs'], () => statfs)
}

/** Returns an error with a system's error code. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made up`), { code })
}
