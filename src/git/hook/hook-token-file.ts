import { readFileSync, statSync } from 'node:fs'
import { HookError } from './hook-error.js'

/** Longest token file that is read, in bytes. */
const tokenFileMax = 65_536

/** Checks that the hook can send the token in a file's first line. @throws HookError */
export function checkTokenFile(path: string): void {
  const wrong = (reason: string): HookError => new HookError(`--token-file: ${path} ${reason}`)
  // Such a path could not be written into the hook as one line.
  if (/\p{Cc}/u.test(path)) throw wrong('has a control character in its name')
  let text: string
  try {
    const stats = statSync(path)
    if (!stats.isFile()) throw wrong('is not a file')
    if (stats.size > tokenFileMax) throw wrong('is too long for a token')
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof HookError) throw error
    throw wrong(`cannot be read: ${(error as Error).message}`)
  }
  const line = (text.split('\n', 1)[0] ?? '').replace(/\r$/, '')
  if (line === '') throw wrong('has an empty first line; put the token there')
  if (/^[^:]+:[0-9a-fA-F]{64}$/.test(line)) {
    throw wrong(
      'holds a name and a hash, as the sidecar’s --admin-token-file; the hook needs the token itself',
    )
  }
  // What an Authorization header can carry as a token (RFC 6750).
  if (!/^[\x21-\x7e]+$/.test(line))
    throw wrong('has a first line that is no token: only printable ASCII, no spaces')
}
