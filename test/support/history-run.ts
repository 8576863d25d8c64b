import type { Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { violations, type Read, type Write } from './history.js'
import { LeaseClient } from './lease-client.js'
import { Random } from './random.js'
import { createReader, type Reader } from './readers.js'
import { gitEnvironment } from './repositories.js'
import { tempDir } from './temp-dir.js'
import { allWriters, type Value, type Workplace, type Writer } from './writers.js'

export type RefFormat = 'files' | 'reftable'

/** A repository that a history can be made in. */
export interface Stage extends Omit<Workplace, 'url'> {
  /** Relative to the root. */
  readonly path: string
}

export interface RunOptions {
  readonly stage: Stage
  readonly url: string
  readonly adminUrl: string
  /** observe: nobody takes a lease. lease: everybody does, around each change. */
  readonly mode: 'observe' | 'lease'
  /** Decides what is written next, and when. */
  readonly seed: number
  /** How often each writer writes, or for how long. */
  readonly length: { readonly rounds: number } | { readonly seconds: number }
}

export interface History {
  readonly writes: readonly Write[]
  readonly reads: readonly Read[]
  readonly violations: readonly string[]
}

/** Commits to choose from: so many that a value seldom comes back by chance. */
const commitsMax = 200
/** Milliseconds between two changes of a writer: storms, and times so quiet that entries are kept and used again. */
const pauses = [0, 0, 0, 10, 30, 100, 300]
/** The same between two questions of a reader: without them, all who share an answer would ask again as one. */
const readerPauses = [0, 0, 5, 40, 200]

/** Makes a repository in `root`, exported and open for pushes, and what writers need. @throws if Git cannot */
export function setStage(t: Test, root: string, format: RefFormat, program = 'git'): Stage {
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
    // However many want the same lock, nobody is turned away.
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
  // Refs that nobody changes.
  const still = Array.from(
    { length: 300 },
    (_, index) => `create refs/heads/still/${index} refs/heads/main\n`,
  )
  git(['update-ref', '--stdin'], still.join(''))
  git(['pack-refs', '--all'])
  execFileSync(program, ['init', '--quiet', '--bare', clone], { env: gitEnvironment })
  git(['push', '--quiet', clone, 'main'])
  const ids = git(['rev-list', 'main']).split('\n')
  return { git: program, repository, path, clone, commits: ids }
}

/** Lets real writers and readers loose on a repository, and checks all that was seen. @throws if one of them fails */
export async function runHistory(options: RunOptions): Promise<History> {
  const { stage, url, mode, seed, length } = options
  const writers = allWriters({ ...stage, url: `${url}/${stage.path}` })
  const registers = writers.flatMap((writer) => writer.registers)
  const readers = readersOf(url, stage.path, registers)
  const leases = mode === 'lease' ? new LeaseClient(options.adminUrl, stage.path) : undefined
  const writes: Write[] = []
  const reads: Read[] = []

  const startedAt = performance.now()
  const over = (round: number): boolean =>
    'rounds' in length ? round >= length.rounds : performance.now() - startedAt > length.seconds * 1000
  let writing = writers.length
  const write = async (writer: Writer, index: number): Promise<void> => {
    const random = new Random(seed + index)
    const now = new Map<string, Value>(writer.registers.map((register) => [register, undefined]))
    if (now.has('HEAD')) now.set('HEAD', 'refs/heads/main')
    for (const [register, value] of now) writes.push({ register, value, start: -Infinity, end: -Infinity })
    for (let round = 0; !over(round); round++) {
      const change = writer.next(now, random)
      const start = performance.now()
      if (!leases || writer.throughSidecar) await change.run()
      else await leases.during(() => change.run(), change.values.size > 0)
      const end = performance.now()
      for (const [register, value] of change.values) {
        writes.push({ register, value, start, end })
        now.set(register, value)
      }
      await sleep(random.pick(pauses))
    }
  }
  const read = async (reader: Reader, index: number): Promise<void> => {
    const random = new Random(seed + writers.length + index)
    while (writing > 0) {
      reads.push(await reader.read())
      await sleep(random.pick(readerPauses))
    }
  }
  await Promise.all([
    ...writers.map((writer, index) => write(writer, index).finally(() => writing--)),
    ...readers.map(read),
  ])
  // What everybody sees at last.
  for (const reader of readers) reads.push(await reader.read())
  return { writes, reads, violations: violations(writes, reads) }
}

function readersOf(url: string, path: string, registers: readonly string[]): Reader[] {
  const reader = (version: 0 | 1 | 2, ...prefixes: string[]): Reader =>
    createReader(url, path, registers, version, prefixes)
  return [
    reader(0),
    reader(0),
    reader(1),
    reader(2),
    reader(2, 'HEAD', 'refs/heads/', 'refs/tags/'),
    reader(2, 'refs/heads/renamed/'),
    reader(2, 'HEAD', 'refs/tags/'),
  ]
}
