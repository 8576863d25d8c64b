import { spawn, spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** The result of a lease that the hook was told to open on trial. */
export interface HookTrial {
  /** Was a lease opened? Then pushes will have leases too. */
  readonly works: boolean
  /** Did the admin address answer? */
  readonly answered: boolean
  /** Why it does not work; '' if it does. */
  readonly reason: string
  /** What may fail for other users than the one who tries. */
  readonly note?: string
}

export interface TrialOptions {
  /** Text of the hook's program. */
  readonly script: string
  readonly tokenFile: string | undefined
  /** Path of the hook. */
  readonly hook: string
  readonly commonDir: string
}

/** Time limit of a trial in milliseconds; the hook waits 5 seconds for each of its two requests. */
const trialMaxMs = 15_000

/** Runs the hook's program with the argument `trial`. Resolves with the result; never rejects. */
export async function tryScript({ script, tokenFile, hook, commonDir }: TrialOptions): Promise<HookTrial> {
  const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'))
  const child = spawn('/bin/sh', ['-c', script, hook, 'trial'], {
    cwd: commonDir,
    env: Object.fromEntries(environment),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: trialMaxMs,
  })
  const failed = new Promise<string>((resolve) => child.once('error', ({ message }) => resolve(message)))
  const output = Promise.all([text(child.stdout), text(child.stderr)])
  const outcome = await Promise.race([output, failed])
  const trial = typeof outcome === 'string' ? unanswered(outcome) : resultOf(...outcome, tokenFile)
  const note = tokenFile === undefined ? undefined : ownerNote(tokenFile, commonDir)
  return note === undefined ? trial : { ...trial, note }
}

const unanswered = (reason: string): HookTrial => ({ works: false, answered: false, reason })

/** @param reply the body of the response, a space and its status, as the hook prints them */
function resultOf(reply: string, stderr: string, tokenFile: string | undefined): HookTrial {
  const [, body = '', status = '000'] = /^(.*?) ?(\d{3})$/s.exec(reply.trim()) ?? []
  if (status === '000') {
    // Bash reports a failed connection more than once, the last time with the address.
    const line = stderr
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^.*?: line \d+: /, '')
    return unanswered(line || 'no answer in time')
  }
  if (status === '201') return { works: true, answered: true, reason: '' }
  const advice = status === '401' && tokenFile === undefined ? '; install it with --token-file' : ''
  return { works: false, answered: true, reason: `${detailOf(body) ?? `status ${status}`}${advice}` }
}

/** The detail of a problem document (RFC 9457), if the response is one: any program may listen at the address. */
function detailOf(body: string): string | undefined {
  try {
    const { detail } = JSON.parse(body) as { detail?: unknown }
    return typeof detail === 'string' ? detail : undefined
  } catch {
    return undefined
  }
}

/** The hook runs as the user who pushes: mostly the repository's owner, who may be another user than this one. */
function ownerNote(tokenFile: string, commonDir: string): string | undefined {
  const { uid, gid } = statSync(join(commonDir, 'refs'))
  if (process.getuid?.() !== 0 || uid === 0) return undefined
  const { status } = spawnSync('/bin/sh', ['-c', '[ -r "$1" ]', 'sh', tokenFile], { uid, gid })
  return status === 0
    ? undefined
    : `user ${uid}, who owns the repository, may not be able to read ${tokenFile}`
}
