import { spawn, spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** What became of a lease that the hook was asked to open for a trial. */
export interface HookTrial {
  /** A lease was opened: pushes will have theirs. */
  readonly works: boolean
  /** Has somebody answered at the admin address? */
  readonly answered: boolean
  /** Why it does not work; '' if it does. */
  readonly reason: string
  /** What may be wrong for others than the user who tries. */
  readonly note?: string
}

export interface TrialOptions {
  /** The hook's program. */
  readonly script: string
  readonly tokenFile: string | undefined
  /** Where the hook is. */
  readonly hook: string
  readonly commonDir: string
}

/** The hook waits 5 seconds for each of its two requests. */
const endsWithinMs = 15_000

/** Runs the hook's program, told to try a lease. Never rejects. */
export async function trialOf({ script, tokenFile, hook, commonDir }: TrialOptions): Promise<HookTrial> {
  const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'))
  const child = spawn('/bin/sh', ['-c', script, hook, 'trial'], {
    cwd: commonDir,
    env: Object.fromEntries(environment),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: endsWithinMs,
  })
  const failed = new Promise<string>((resolve) => child.once('error', ({ message }) => resolve(message)))
  const said = Promise.all([text(child.stdout), text(child.stderr)])
  const outcome = await Promise.race([said, failed])
  const trial = typeof outcome === 'string' ? noAnswer(outcome) : judge(...outcome, tokenFile)
  const note = tokenFile === undefined ? undefined : ownerNote(tokenFile, commonDir)
  return note === undefined ? trial : { ...trial, note }
}

const noAnswer = (reason: string): HookTrial => ({ works: false, answered: false, reason })

/** @param reply the answer's body, a space and its status, as the hook prints them */
function judge(reply: string, complaint: string, tokenFile: string | undefined): HookTrial {
  const [, body = '', status = '000'] = /^(.*?) ?(\d{3})$/s.exec(reply.trim()) ?? []
  if (status === '000') {
    // Bash says it more than once, the last time with what it tried.
    const line = complaint
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^.*?: line \d+: /, '')
    return noAnswer(line || 'no answer in time')
  }
  if (status === '201') return { works: true, answered: true, reason: '' }
  const todo = status === '401' && tokenFile === undefined ? '; install it with --token-file' : ''
  return { works: false, answered: true, reason: `${detailOf(body) ?? `status ${status}`}${todo}` }
}

/** What an answer says of itself (RFC 9457); whoever listens there may say anything. */
function detailOf(body: string): string | undefined {
  try {
    const { detail } = JSON.parse(body) as { detail?: unknown }
    return typeof detail === 'string' ? detail : undefined
  } catch {
    return undefined
  }
}

/** The hook runs as whoever pushes: mostly the repository's owner, who may not be who installs it. */
function ownerNote(tokenFile: string, commonDir: string): string | undefined {
  const { uid, gid } = statSync(join(commonDir, 'refs'))
  if (process.getuid?.() !== 0 || uid === 0) return undefined
  const { status } = spawnSync('/bin/sh', ['-c', '[ -r "$1" ]', 'sh', tokenFile], { uid, gid })
  return status === 0
    ? undefined
    : `user ${uid}, who owns the repository, may not be able to read ${tokenFile}`
}
