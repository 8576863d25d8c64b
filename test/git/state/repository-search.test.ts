import t from 'tap'
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StatSnapshot } from '../../../src/git/state/stat-snapshot.js'
import { SnapshotMemory } from '../../../src/git/state/snapshot-memory.js'
import { RepositoriesRoot } from '../../../src/git/state/repositories-root.js'
import { visitDirectory, type FoundRepository } from '../../../src/git/state/repository-search.js'
import { git, initBare, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

function* search(root: RepositoriesRoot, path = '', isLink = false): Generator<FoundRepository> {
  const { found, below } = visitDirectory(new StatSnapshot(new SnapshotMemory()), root, path, isLink)
  if (found) yield found
  for (const each of below) yield* search(root, each.path, each.isLink)
}

const found = (root: string): string[] =>
  [...search(new RepositoriesRoot(root))].map(({ path, refused }) => (refused ? `${path} ${refused}` : path))

t.test(
  'every repository below the root is found by its path, in order, and none inside of another',
  async (t) => {
    const root = realpathSync(tempDir(t))
    t.same(found(root), [])
    initBare(root, 'b.git')
    initBare(root, 'group/deep/a.git', { exported: false })
    initBare(root, 'group/plain')
    mkdirSync(join(root, 'empty.git'))
    writeFileSync(join(root, 'file.git'), '')
    mkdirSync(join(root, 'work'))
    git(join(root, 'work'), 'init', '--quiet')
    initBare(root, 'work/inside.git')
    initBare(root, 'b.git/modules/c.git')
    t.same(found(root), ['b.git', 'group/deep/a.git', 'group/plain', 'work'])
  },
)

t.test('links and worktrees are not found as repositories', async (t) => {
  const root = realpathSync(tempDir(t))
  const path = makeRepository(root, 'r.git')
  git(path, 'worktree', 'add', '--quiet', '--detach', join(root, 'tree'), 'main')
  symlinkSync(path, join(root, 'link.git'))
  symlinkSync(root, join(root, 'loop'))
  t.same(found(root), ['r.git'])
})

t.test('a root that is a repository is found', async (t) => {
  const root = realpathSync(tempDir(t))
  initBare(root, '.')
  t.same(found(root), [''])
})
