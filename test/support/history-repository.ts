import type { Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gitEnvironment } from './repositories.js'
import { tempDir } from './temp-dir.js'
import { hiddenRefs, type Workplace } from './writers.js'

export type RefFormat = 'files' | 'reftable'

/** A repository in which a history is written. */
export interface HistoryRepository extends Omit<Workplace, 'url'> {
  /** Relative to the root. */
  readonly path: string
}

/** Commits to choose from: so many that a value is rarely repeated by chance. */
const commitsMax = 200

/**
 * Makes a repository in `root`, exported and open for pushes, and a clone for writers.
 * @param moreRefs names of further refs that no writer changes
 * @throws if Git fails
 */
export function createHistoryRepository(
  t: Test,
  root: string,
  format: RefFormat,
  program = 'git',
  moreRefs: readonly string[] = [],
): HistoryRepository {
  const path = `${format}.git`
  const repository = join(root, path)
  const clone = join(tempDir(t), 'clone.git')
  const git = (args: string[], input = ''): string =>
    execFileSync(program, args, { cwd: repository, env: gitEnvironment, input, stdio: 'pipe' })
      .toString()
      .trim()
  mkdirSync(repository)
  git(['init', '--quiet', '--bare', '-b', 'main', ...(format === 'files' ? [] : [`--ref-format=${format}`])])
  writeFileSync(join(repository, 'git-daemon-export-ok'), '')
  const settings = {
    'http.receivepack': 'true',
    'receive.autogc': 'false',
    'transfer.hideRefs': hiddenRefs,
    // Many writers may wait for the same lock, and none may fail.
    'core.filesRefLockTimeout': '60000',
    'core.packedRefsTimeout': '60000',
    'reftable.lockTimeout': '60000',
  }
  for (const [name, value] of Object.entries(settings)) git(['config', name, value])
  const who = 'committer C O Mitter <committer@example.com> 1577836800 +0000'
  const commits = Array.from({ length: commitsMax }, (_, index) => {
    return `commit refs/heads/main\n${who}\ndata <<END\n${index}\nEND\n`
  })
  git(['fast-import', '--quiet'], commits.join('\n'))
  // Refs that no writer changes.
  const stillRefs = Array.from({ length: 300 }, (_, index) => `refs/heads/still/${index}`)
  const constantRefs = [...stillRefs, ...moreRefs].map((ref) => `create ${ref} refs/heads/main\n`)
  git(['update-ref', '--stdin'], constantRefs.join(''))
  git(['pack-refs', '--all'])
  execFileSync(program, ['init', '--quiet', '--bare', clone], { env: gitEnvironment })
  git(['push', '--quiet', clone, 'main'])
  const ids = git(['rev-list', 'main']).split('\n')
  return { git: program, repository, path, clone, commits: ids }
}
