import type { Test } from 'tap'
import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { git, gitEnvironment, gitWith } from '../repositories.js'
import { tempDir } from '../temp-dir.js'

export type ObjectFormat = 'sha1' | 'sha256'
export type RefFormat = 'files' | 'reftable'

/** A repository whose refs are changed at random. Names of refs are bytes as Latin-1. */
export interface ModelRepository {
  /** Names it among the others below the root, for Git and in URLs. */
  readonly name: string
  /** What is served: a path relative to the root. A linked worktree, or the repository itself. */
  readonly served: string
  /** The Git directory that has the refs. */
  readonly directory: string
  /** Where Git commands are run: the Git directory, and linked worktrees. */
  readonly workplaces: readonly string[]
  readonly objectFormat: ObjectFormat
  readonly refFormat: RefFormat
  readonly commits: readonly string[]
  /** Annotated tags: of a commit, of a tag, of a tree, and of an object that is not there. */
  readonly tags: readonly string[]
  /** The commit that a tag and loose refs name, and its contents; it is not there at first. */
  readonly missing: { readonly id: string; readonly content: string }
  /** A repository with the same objects, to push from. */
  readonly clone: string
  /** The number of refs refs/heads/bulk/NNNN that were there at first. */
  readonly bulk: number
}

export interface ModelOptions {
  readonly name: string
  readonly objectFormat?: ObjectFormat
  readonly refFormat?: RefFormat
  /** Refs in addition, so that the listing has several blocks. */
  readonly bulk?: number
  /** Serves a linked worktree instead of the repository. */
  readonly worktree?: boolean
}

const settings = {
  'http.receivepack': 'true',
  'receive.autogc': 'false',
  'receive.denyCurrentBranch': 'ignore',
  'receive.denyDeleteCurrent': 'ignore',
  'gc.auto': '0',
  'maintenance.auto': 'false',
  // A file .lock that lies around fails a change at once.
  'core.filesRefLockTimeout': '0',
  'core.packedRefsTimeout': '0',
  'reftable.lockTimeout': '0',
}

/** Makes a repository in `root`. @throws if Git fails */
export function createModelRepository(t: Test, root: string, options: ModelOptions): ModelRepository {
  const { name, objectFormat = 'sha1', refFormat = 'files', bulk = 0 } = options
  const directory = join(root, name)
  mkdirSync(directory)
  const formats = [
    `--object-format=${objectFormat}`,
    ...(refFormat === 'files' ? [] : [`--ref-format=${refFormat}`]),
  ]
  git(directory, 'init', '--quiet', '--bare', '-b', 'main', ...formats)
  for (const [key, value] of Object.entries(settings)) git(directory, 'config', key, value)
  const tree = gitWith({ cwd: directory }, 'hash-object', '-t', 'tree', '-w', '--stdin')
  const commit = (message: string): string => git(directory, 'commit-tree', tree, '-m', message)
  const commits = Array.from({ length: 12 }, (_, index) => commit(`commit ${index}`))
  const content = `tree ${tree}\nauthor A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nmissing\n`
  const missing = gitWith({ cwd: directory, input: content }, 'hash-object', '-t', 'commit', '--stdin')
  const tag = (object: string, type: string, name: string): string =>
    gitWith(
      {
        cwd: directory,
        input: `object ${object}\ntype ${type}\ntag ${name}\ntagger A <a@example.com> 1 +0000\n\n${name}\n`,
      },
      ...['hash-object', '-t', 'tag', '-w', '--stdin', '--literally'],
    )
  const first = tag(commits[0]!, 'commit', 'one')
  const second = tag(first, 'tag', 'two')
  const broken = tag(missing, 'commit', 'broken')
  const tags = [first, second, tag(second, 'tag', 'three'), tag(tree, 'tree', 'tree'), broken]
  tags.push(tag(broken, 'tag', 'of a broken one'))

  const create = ['refs/heads/main', ...bulkNames(bulk)].map((ref) => `create ${ref} ${commits[0]}\n`)
  gitWith({ cwd: directory, input: create.join('') }, 'update-ref', '--stdin')
  git(directory, 'pack-refs', '--all')
  const workplaces = [directory]
  if (options.worktree) {
    workplaces.push(join(root, `${name}-linked`))
    git(directory, 'worktree', 'add', '--quiet', '-b', 'linked', workplaces[1]!)
  }
  const clone = join(tempDir(t), 'clone.git')
  git(root, 'init', '--quiet', '--bare', `--object-format=${objectFormat}`, clone)
  writeFileSync(join(clone, 'objects/info/alternates'), `${join(directory, 'objects')}\n`)
  return {
    ...{ name, directory, workplaces, objectFormat, refFormat, commits, tags, clone, bulk },
    served: options.worktree ? `${name}-linked` : name,
    missing: { id: missing, content },
  }
}

/** Returns the names of refs that lie close together, so that they fill blocks of a listing. */
export const bulkNames = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `refs/heads/bulk/${String(index).padStart(4, '0')}`)

export interface GitResult {
  readonly ok: boolean
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs Git and resolves when it has ended, also if it failed. */
export function runGit(
  cwd: string,
  args: readonly string[],
  { input = '', protocol }: { input?: string | Buffer; protocol?: string | undefined } = {},
): Promise<GitResult> {
  const env = { ...gitEnvironment, GIT_PROTOCOL: protocol }
  return new Promise((resolve) => {
    const options = { cwd, env, encoding: 'buffer', maxBuffer: 1 << 30 } as const
    const child = execFile('git', args, options, (error, stdout, stderr) => {
      resolve({ ok: error === null, stdout, stderr: stderr.toString('latin1') })
    })
    // If Git ends early, its exit code tells why.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}
