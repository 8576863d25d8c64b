import { simpleGit } from 'simple-git'
import type { Git } from '../../git/process/git.js'
import type { GitProcess } from '../../git/process/git-process.js'
import { spawnIn } from '../../git/process/git-in-repository.js'
import type { Repository } from '../../git/state/repository.js'

/** Whether Git can list a repository's refs, and what it wrote to standard error. */
export interface Listing {
  readonly works: boolean
  /** Empty: nothing is wrong. */
  readonly complaint: string
}

/** Lists a repository's refs with Git, as a fill does, and discards them. Never rejects. */
export async function listWithGit(
  git: Git,
  repository: Repository,
  version: string,
  withinMs: number,
): Promise<Listing> {
  let process: GitProcess
  try {
    process = spawnIn(git, repository, ['upload-pack', '--strict', '--advertise-refs', '.'], {
      environment: git.environment,
      signal: AbortSignal.timeout(withinMs),
    })
  } catch (error) {
    return { works: false, complaint: (error as Error).message }
  }
  process.stdin.end()
  process.stdout.resume()
  const { code, reason } = await process.ended
  const stderr = process.stderr.replaceAll(/:\s*\n\s*/g, ': ').replaceAll(/\s*\n\s*/g, '; ')
  if (code === 0) return { works: true, complaint: stderr }
  if (process.endRequested)
    return { works: false, complaint: `Git has not listed its refs within ${withinMs / 1000} s` }
  if (!knowsReftable(version) && (await refStorage(git, repository, withinMs)) === 'reftable') {
    const complaint = `Git ${version} cannot read it: its refs are stored as reftable, which Git supports since 2.45 (${stderr})`
    return { works: false, complaint }
  }
  return { works: false, complaint: `Git cannot list its refs: ${stderr || reason}` }
}

function knowsReftable(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 45)
}

/**
 * Resolves with a repository's ref storage format (`extensions.refStorage` in git-config(1)); undefined: Git's default, or
 * unknown. Reads the file alone, since a Git that does not know the format does not open the repository.
 */
async function refStorage(
  git: Git,
  { commonDir }: Repository,
  withinMs: number,
): Promise<string | undefined> {
  const environment = { PATH: process.env['PATH'] }
  const late = AbortSignal.timeout(withinMs)
  // A process that hangs on a filesystem does not end when it is killed, and simple-git waits for its end.
  const unanswered = new Promise<undefined>((resolve) => {
    late.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  const read = async (): Promise<string> => {
    const config = simpleGit({
      baseDir: '/',
      binary: git.path,
      abort: late,
      allowEnvironment: Object.keys(environment),
      unsafe: { allowUnsafeCustomBinary: true },
    }).env(environment)
    return (await config.raw('config', '--file', `${commonDir}/config`, 'extensions.refStorage')).trim()
  }
  return Promise.race([read().catch(() => undefined), unanswered])
}
