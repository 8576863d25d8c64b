import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Git's environment in tests: no user's configuration, fixed names and dates, no inherited repository. */
export const gitEnvironment: NodeJS.ProcessEnv = {
  PATH: process.env['PATH'],
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'A U Thor',
  GIT_AUTHOR_EMAIL: 'author@example.com',
  GIT_COMMITTER_NAME: 'C O Mitter',
  GIT_COMMITTER_EMAIL: 'committer@example.com',
  GIT_AUTHOR_DATE: '2020-01-01T00:00:00Z',
  GIT_COMMITTER_DATE: '2020-01-01T00:00:00Z',
  GIT_TERMINAL_PROMPT: '0',
  LC_ALL: 'C',
}

/** Runs git and returns what it printed, trimmed. @throws if it fails */
export function git(cwd: string, ...args: string[]): string {
  return gitWith({ cwd }, ...args)
}

export function gitWith(
  options: {
    cwd: string
    input?: string | Buffer
    environment?: NodeJS.ProcessEnv
    /** Encoding of the output; latin1 keeps every byte. */
    encoding?: BufferEncoding
  },
  ...args: string[]
): string {
  const output = execFileSync('git', args, {
    cwd: options.cwd,
    input: options.input ?? '',
    env: { ...gitEnvironment, ...options.environment },
    maxBuffer: 1 << 30,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  return options.encoding ? output.toString(options.encoding) : output.toString().trim()
}

export interface InitOptions {
  readonly objectFormat?: 'sha1' | 'sha256'
  readonly exported?: boolean
}

/** Makes an empty bare repository whose HEAD is refs/heads/main. @returns its path */
export function initBare(root: string, name: string, options: InitOptions = {}): string {
  const path = join(root, name)
  mkdirSync(path, { recursive: true })
  git(path, 'init', '--quiet', '--bare', '-b', 'main', `--object-format=${options.objectFormat ?? 'sha1'}`)
  if (options.exported ?? true) writeFileSync(join(path, 'git-daemon-export-ok'), '')
  return path
}

/** Makes a commit with the empty tree, to which no ref points. @returns its object id */
export function makeCommit(repository: string, message: string, ...parents: string[]): string {
  const tree = gitWith({ cwd: repository }, 'hash-object', '-t', 'tree', '-w', '--stdin')
  return git(repository, 'commit-tree', tree, '-m', message, ...parents.flatMap((parent) => ['-p', parent]))
}

/** Makes a bare repository with one commit on main and an annotated tag v1. @returns its path */
export function makeRepository(root: string, name: string, options: InitOptions = {}): string {
  const path = initBare(root, name, options)
  const commit = makeCommit(path, 'one')
  git(path, 'update-ref', 'refs/heads/main', commit)
  git(path, 'tag', '-a', '-m', 'version 1', 'v1', commit)
  return path
}

/**
 * Adds `count` branches refs/heads/<prefix>NNNNNN, packed, all at main's commit. Written in Git's format
 * (gitrepository-layout(5), "packed-refs"), because Git itself would first make a file for each.
 */
export function addPackedBranches(repository: string, count: number, prefix = 'b/'): void {
  git(repository, 'pack-refs', '--all')
  const path = join(repository, 'packed-refs')
  const [header = '', ...lines] = readFileSync(path, 'latin1').trimEnd().split('\n')
  // A tag's line and the line of its peeled object (^) stay together.
  const refs = lines.join('\n').split(/\n(?!\^)/)
  const commit = git(repository, 'rev-parse', 'refs/heads/main')
  for (let index = 0; index < count; index++) {
    refs.push(`${commit} refs/heads/${prefix}${String(index).padStart(6, '0')}`)
  }
  const name = (ref: string): string => ref.slice(ref.indexOf(' '))
  refs.sort((one, other) => (name(one) < name(other) ? -1 : 1))
  writeFileSync(path, `${header}\n${refs.join('\n')}\n`)
}
