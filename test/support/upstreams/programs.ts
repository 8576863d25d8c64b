import { spawnSync } from 'node:child_process'
import { delimiter } from 'node:path'

/** PATH with the directories of servers, which not every user's has. */
export const serverPath = [process.env['PATH'], '/usr/sbin', '/usr/local/sbin'].join(delimiter)

/** Returns what a program prints, or undefined if it cannot be run or fails. */
export function outputOf(command: string, ...args: string[]): string | undefined {
  const { status, stdout, stderr } = spawnSync(command, args, {
    env: { ...process.env, PATH: serverPath },
    encoding: 'utf8',
  })
  return status === 0 ? `${stdout}${stderr}`.trim() : undefined
}

/**
 * Returns the reason to skip tests that need a server, for tap's `skip`, and prints it: tap's own line is not in the
 * report. Returns false if nothing is missing.
 */
export function skipReason(server: string, missing: string | undefined): string | false {
  if (missing === undefined) return false
  const reason = `tests with ${server} are skipped: ${missing}`
  console.error(reason)
  return reason
}
