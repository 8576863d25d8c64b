import { existsSync } from 'node:fs'
import { systemPath } from '../../git/filesystem/byte-path.js'
import type { Git } from '../../git/process/git.js'
import type { GitProcess } from '../../git/process/git-process.js'
import { spawnIn } from '../../git/process/git-in-repository.js'
import type { Repository } from '../../git/state/repository.js'

/** What Git said when it was asked for a repository's refs. */
export interface Listing {
  /** Has it listed them? */
  readonly works: boolean
  /** '' if it had nothing to complain of. */
  readonly complaint: string
}

/** Lists a repository's refs with Git, as a fill does, and drops them. Never rejects. */
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
  const said = process.stderr.replaceAll(/:\s*\n\s*/g, ': ').replaceAll(/\s*\n\s*/g, '; ')
  if (code === 0) return { works: true, complaint: said }
  if (process.toldToEnd)
    return { works: false, complaint: `Git has not listed its refs within ${withinMs / 1000} s` }
  if (existsSync(systemPath(`${repository.commonDir}/reftable`)) && !knowsReftable(version)) {
    const complaint = `Git ${version} cannot read it: its refs are kept as reftable, which Git knows since 2.45 (${said})`
    return { works: false, complaint }
  }
  return { works: false, complaint: `Git cannot list its refs: ${said || reason}` }
}

function knowsReftable(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 45)
}
