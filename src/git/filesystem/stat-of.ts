import { statSync, type BigIntStats } from 'node:fs'
import { throwIfTransient } from './system-errors.js'

/**
 * Returns the stat of a path, links followed; undefined: it does not exist or may not be entered.
 * @param failed called with the error in the second case
 * @throws the system's error if it says nothing about the path, such as EIO
 */
export function statOf(path: string | Buffer, failed?: (error: unknown) => void): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch (error) {
    throwIfTransient(error)
    failed?.(error)
    return undefined
  }
}
