import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { git, gitEnvironment, gitWith, initBare, type InitOptions } from './repositories.js'

/** Seconds since 1970 of the first commit: 2020-01-01. Each later commit is a day younger. */
const firstDay = 1577836800
const day = 86_400
const committer = 'C O Mitter <committer@example.com>'

export interface PackRepositoryOptions extends InitOptions {
  /** Bytes of one file that cannot be compressed; none if left out. */
  readonly bulk?: number
}

/**
 * Makes a bare repository with something to send, in about 250 objects: 60 commits on main, one a day from 2020-01-01; a
 * branch topic of five commits that leaves main at the 30th; annotated tags v1 (the 20th commit) and v2 (the last), and the
 * lightweight tag light. Filters, and wants of any object, are allowed in all protocol versions.
 * @returns its path
 */
export function makePackRepository(root: string, name: string, options: PackRepositoryOptions = {}): string {
  const path = initBare(root, name, options)
  const stream: (string | Buffer)[] = []
  const blob = (file: string, content: Buffer): void =>
    void stream.push(`M 100644 inline ${file}\ndata ${content.length}\n`, content, '\n')
  const commit = (branch: string, mark: number, from: number | undefined, date: number): void => {
    stream.push(
      `commit refs/heads/${branch}\nmark :${mark}\ncommitter ${committer} ${firstDay + date * day} +0000\n`,
      `data 8\nnumber${String(mark).padStart(2)}\n`,
      from === undefined ? '' : `from :${from}\n`,
    )
    if (mark === 1 && options.bulk !== undefined) blob('bulk', randomBytes(options.bulk))
    blob(`src/${mark % 7}/file`, Buffer.from(`${mark}\n`.repeat(300)))
    blob('CHANGES', Buffer.from(Array.from({ length: mark }, (_, line) => `change ${line}\n`).join('')))
    stream.push('\n')
  }
  for (let number = 1; number <= 60; number++) {
    commit('main', number, number === 1 ? undefined : number - 1, number - 1)
  }
  for (let number = 61; number <= 65; number++)
    commit('topic', number, number === 61 ? 30 : number - 1, number)
  const tag = (name: string, mark: number): void =>
    void stream.push(`tag ${name}\nfrom :${mark}\ntagger ${committer} ${firstDay} +0000\ndata 4\ntag\n\n`)
  tag('v1', 20)
  tag('v2', 60)
  const input = Buffer.concat(stream.map((part) => Buffer.from(part)))
  gitWith({ cwd: path, input }, 'fast-import', '--quiet')
  git(path, 'tag', 'light', 'main~5')
  for (const key of ['allowFilter', 'allowAnySHA1InWant']) git(path, 'config', `uploadpack.${key}`, 'true')
  return path
}

const execute = promisify(execFile)

/**
 * Resolves with all refs, reachable objects and stored objects of a repository, as a text that is equal for equal
 * repositories. Rejects if `git fsck --strict` finds a fault.
 */
export async function inventory(path: string): Promise<string> {
  const options = { cwd: path, env: gitEnvironment, maxBuffer: 1 << 28 }
  // Objects that a partial clone leaves out are no fault: Git knows that it can fetch them.
  await execute('git', ['fsck', '--strict'], options)
  const lists = [
    ['for-each-ref', '--format=%(objectname) %(refname) %(symref)'],
    ['rev-list', '--objects', '--all', '--missing=print'],
    ['cat-file', '--batch-all-objects', '--batch-check'],
  ]
  const texts = lists.map(async (args) => {
    const { stdout } = await execute('git', args, options)
    return `${args[0]}:\n${stdout.trim().split('\n').sort().join('\n')}\n`
  })
  return (await Promise.all(texts)).join('')
}
