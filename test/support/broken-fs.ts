import type { Test } from 'tap'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Puts another function in the place of one of node:fs/promises, for everybody who imports it.
 * @returns puts the old one back, which happens at the end of the test at the latest
 */
export function replaceFs<K extends keyof typeof promises>(
  t: Test,
  name: K,
  replacement: (original: (typeof promises)[K]) => (typeof promises)[K],
): () => void {
  const original = promises[name]
  const put = (value: (typeof promises)[K]): void => {
    promises[name] = value
    syncBuiltinESMExports()
  }
  const restore = (): void => put(original)
  put(replacement(original))
  t.teardown(restore)
  return restore
}

/** An error as the system gives it. */
export function systemError(code: string, syscall = 'open'): Error {
  return Object.assign(new Error(`${code}: made up, ${syscall}`), { code, syscall })
}
