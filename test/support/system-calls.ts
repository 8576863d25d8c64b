import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const functions = [
  ...(['openSync', 'closeSync', 'statSync', 'lstatSync', 'fstatSync', 'readlinkSync'] as const),
  ...(['readFileSync', 'readSync', 'existsSync', 'opendirSync', 'readdirSync', 'realpathSync'] as const),
]

/** Counts the synchronous calls of node:fs that a function makes, by their names. */
export async function countSystemCalls(run: () => Promise<unknown>): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  const originals = functions.map((name) => [name, fs[name]] as const)
  for (const [name, original] of originals) {
    const counted = (...args: unknown[]): unknown => {
      counts[name] = (counts[name] ?? 0) + 1
      return (original as (...args: unknown[]) => unknown)(...args)
    }
    Object.assign(fs, { [name]: Object.assign(counted, original) })
  }
  syncBuiltinESMExports()
  try {
    await run()
  } finally {
    Object.assign(fs, Object.fromEntries(originals))
    syncBuiltinESMExports()
  }
  return counts
}
