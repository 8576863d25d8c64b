import t from 'tap'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { changedInTables } from '../../../../src/git/state/reftable/changed-in-tables.js'
import { symrefNames } from '../../../../src/git/state/reftable/symref-names.js'
import { differences, listRefs } from '../../../support/listed-refs.js'
import { Random } from '../../../support/random.js'
import { git, gitWith, makeCommit } from '../../../support/repositories.js'
import { tempDir } from '../../../support/temp-dir.js'

type ObjectFormat = 'sha1' | 'sha256'

/** Makes a repository with reftable; undefined: this Git has none (it is older than 2.45). */
function initReftable(path: string, objectFormat: ObjectFormat): string | undefined {
  mkdirSync(path)
  try {
    git(
      path,
      'init',
      '-q',
      '--bare',
      '-b',
      'main',
      '--ref-format=reftable',
      `--object-format=${objectFormat}`,
    )
    return path
  } catch {
    return undefined
  }
}

const names = ['main', 'a', 'a/b', 'a/b/c', 'ab', 'topic/1', 'topic/2'].map((name) => `refs/heads/${name}`)
const others = ['refs/tags/v1', 'refs/tags/v1.0', 'refs/notes/x', 'refs/remotes/o/HEAD', 'refs/worktree/w']

/** Returns a function that runs a random command that may change refs. */
function makeChanges(path: string, random: Random): () => string {
  const commits = ['one', 'two', 'three'].map((message) => makeCommit(path, message))
  git(path, 'tag', '-a', '-m', 'x', 'v0', commits[0]!)
  const ids = [...commits, git(path, 'rev-parse', 'refs/tags/v0')]
  const name = (): string => random.pick(random.below(3) === 0 ? others : names)
  const branch = (): string => random.pick(names).slice('refs/heads/'.length)
  const line = (): string =>
    random.below(3) > 0 ? `update ${name()} ${random.pick(ids)}` : `delete ${name()}`
  const many = (): string => {
    const verb = random.below(3) > 0 ? `update %s ${random.pick(ids)}` : 'delete %s'
    const from = random.below(5) * 20
    return Array.from({ length: 60 }, (_, index) =>
      verb.replace('%s', `refs/changes/${from + index}/1`),
    ).join('\n')
  }
  const commands: [number, () => [string[], string?]][] = [
    [8, () => [['update-ref', name(), random.pick(ids)]]],
    [4, () => [['update-ref', '--no-deref', '-d', name()]]],
    [3, () => [['update-ref', '--stdin'], [line(), line(), line()].join('\n') + '\n']],
    [3, () => [['update-ref', '--stdin'], many() + '\n']],
    [3, () => [['symbolic-ref', name(), random.pick(names)]]],
    [1, () => [['symbolic-ref', '-d', name()]]],
    [1, () => [['symbolic-ref', 'HEAD', random.pick(names)]]],
    [1, () => [['update-ref', '--no-deref', 'HEAD', random.pick(commits)]]],
    [2, () => [['branch', '-M', branch(), branch()]]],
    [2, () => [['branch', '-C', branch(), branch()]]],
    [1, () => [['pack-refs', random.pick(['--all', '--auto'])]]],
    [1, () => [['reflog', 'expire', '--expire=now', '--all']]],
    [1, () => [['config', 'reftable.blockSize', random.pick(['512', '4096', '65536'])]]],
    [1, () => [['config', 'core.logAllRefUpdates', random.pick(['always', 'false'])]]],
  ]
  const weighted = commands.flatMap(([weight, command]) => Array.from({ length: weight }, () => command))
  return () => {
    const [args, input] = random.pick(weighted)()
    const autocompaction = random.below(2) === 0 ? 'false' : 'true'
    const environment = { GIT_TEST_REFTABLE_AUTOCOMPACTION: autocompaction }
    try {
      gitWith({ cwd: path, environment, ...(input === undefined ? {} : { input }) }, ...args)
    } catch {
      // Some commands fail in some states, and a transaction may have been half done by one of them.
    }
    return args.join(' ')
  }
}

for (const objectFormat of ['sha1', 'sha256'] as const) {
  t.test(`all that Git changes in a repository of ${objectFormat} is found`, async (t) => {
    const path = initReftable(join(tempDir(t), 'x.git'), objectFormat)
    if (path === undefined) return t.pass('needs Git 2.45', { skip: true })
    const random = new Random(objectFormat.length)
    const change = makeChanges(path, random)
    const directory = join(path, 'reftable')
    const see = async () => {
      const tables = readFileSync(join(directory, 'tables.list'), 'utf8').trim().split('\n')
      const listing = listRefs(path, objectFormat)
      return { tables, listing, symrefs: await symrefNames(directory, tables) }
    }
    const states = [await see()]
    const seen = { changed: 0, full: 0, compacted: 0 }
    for (let step = 0; step < 60; step++) {
      const command = change()
      const now = await see()
      for (const base of [states.at(-1)!, random.pick(states.slice(-8))]) {
        const { tables, listing, symrefs } = base
        const found = await changedInTables(directory, tables, now.tables, listing, { candidates: 1000 })
        if ('full' in found) {
          seen.full++
          continue
        }
        const asked = new Set(['HEAD', ...found, ...symrefs])
        for (const { name } of listing.symrefs()) asked.add(name.toString('latin1'))
        const changed = differences(listing.all, now.listing.all)
        const missed = changed.filter((name) => !asked.has(name))
        if (missed.length > 0) t.same(missed, [], `step ${step}: ${command}`)
        if (changed.length > 0) seen.changed++
        if (tables.some((table) => !now.tables.includes(table))) seen.compacted++
      }
      states.push(now)
    }
    t.ok(seen.changed > 25 && seen.full > 2 && seen.compacted > 2, JSON.stringify(seen))
  })
}
