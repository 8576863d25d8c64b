import t from 'tap'
import { spawnSync } from 'node:child_process'
import { mkdirSync, realpathSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { findRepository } from '../../support/found-repository.js'
import { git, gitEnvironment, initBare, makeCommit, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const newRoot = (t: Parameters<typeof tempDir>[0]): string => realpathSync(tempDir(t))

/** The refs that Git itself advertises for a path; undefined: it finds no repository there. */
function gitRefs(path: string): string[] | undefined {
  const args = ['upload-pack', '--advertise-refs', path]
  const { status, stdout } = spawnSync('git', args, { env: gitEnvironment })
  if (status !== 0) return undefined
  return [...stdout.toString().matchAll(/refs\/[^\n\0]+/g)].map(([name]) => name)
}

t.test('the repository that Git finds is found, for every combination of candidates', async (t) => {
  const directory = newRoot(t)
  const store = makeRepository(directory, 'store.git')
  const commit = git(store, 'rev-parse', 'main')

  /** The smallest repository that Git accepts; its one branch has the given name. */
  const bare = (path: string, name: string): void => {
    mkdirSync(join(path, 'refs/heads'), { recursive: true })
    symlinkSync(join(store, 'objects'), join(path, 'objects'))
    writeFileSync(join(path, 'HEAD'), 'ref: refs/heads/none\n')
    writeFileSync(join(path, 'refs/heads', name), `${commit}\n`)
  }
  type Kind = 'nothing' | 'repository' | 'directory' | 'gitfile' | 'garbage'
  const kinds: Kind[] = ['nothing', 'repository', 'directory', 'gitfile', 'garbage']
  const make = (path: string, kind: Kind, name: string): void => {
    const target = join(dirname(path), `${basename(path)}.target`)
    if (kind === 'repository') bare(path, name)
    else if (kind === 'directory') mkdirSync(path)
    else if (kind === 'gitfile') {
      bare(target, name)
      writeFileSync(path, `gitdir: ./${basename(target)}\r\n`)
    } else if (kind === 'garbage') writeFileSync(path, 'gitdir: nowhere\n')
  }
  /** A kind of candidate, and the kind of `.git` inside it. */
  const sides = kinds.flatMap((outer) =>
    ['repository', 'directory'].includes(outer)
      ? kinds.map((inner) => [outer, inner] as const)
      : [[outer, 'nothing'] as const],
  )

  let found = 0
  for (const [plain, plainInner] of sides) {
    for (const [dotGit, dotGitInner] of sides) {
      const root = join(directory, 'root')
      mkdirSync(root)
      make(join(root, 'x'), plain, 'x')
      make(join(root, 'x/.git'), plainInner, 'x-dot')
      make(join(root, 'x.git'), dotGit, 'xgit')
      make(join(root, 'x.git/.git'), dotGitInner, 'xgit-dot')
      for (const path of ['x', 'x.git']) {
        const expected = gitRefs(join(root, path))
        // The shared objects lie below the root as well.
        const entered = findRepository(directory, `root/${path}`)
        const what = `${path}: x is ${plain} with ${plainInner}, x.git is ${dotGit} with ${dotGitInner}`
        t.same(entered && gitRefs(entered.gitDir), expected, what)
        if (expected) found++
      }
      rmSync(root, { recursive: true })
    }
  }
  t.ok(found > sides.length * 10, `Git found ${found}`)
})

t.test('linked worktrees, separate Git directories and nested repositories are found', async (t) => {
  const root = newRoot(t)
  const main = makeRepository(root, 'main.git')
  git(main, 'worktree', 'add', '--quiet', join(root, 'tree'), '-b', 'topic')
  t.match(findRepository(root, 'tree'), { gitDir: `${main}/worktrees/tree`, commonDir: main })
  t.match(findRepository(root, 'main.git/worktrees/tree'), {
    gitDir: `${main}/worktrees/tree`,
    commonDir: main,
  })

  git(root, 'init', '--quiet', '--separate-git-dir', join(root, 'elsewhere'), 'apart')
  t.match(findRepository(root, 'apart'), { gitDir: `${root}/elsewhere`, commonDir: `${root}/elsewhere` })

  initBare(join(main, 'inner'), 'deep.git')
  t.equal(findRepository(root, 'main/inner/deep')?.gitDir, undefined, 'only the last component gets a suffix')
  t.equal(findRepository(root, 'main.git/inner/deep')?.gitDir, `${main}/inner/deep.git`)
})

t.test('the root itself may be a repository', async (t) => {
  const root = newRoot(t)
  t.equal(findRepository(root, ''), undefined)
  initBare(dirname(root), basename(root))
  t.equal(findRepository(root, '')?.gitDir, root)
  rmSync(join(root, 'HEAD'))
  git(root, 'init', '--quiet')
  t.equal(findRepository(root, '')?.gitDir, `${root}/.git`)
})

t.test('a repository needs a valid HEAD', async (t) => {
  const root = newRoot(t)
  const path = initBare(root, 'x.git')
  const head = join(path, 'HEAD')
  const oid = makeCommit(path, 'one')
  const texts = [
    ...[
      'ref: refs/heads/main\n',
      'ref:refs/heads/gone',
      'ref: \t\n refs/heads/..',
      'ref: refs/',
      'ref: HEAD\n',
    ],
    ...[
      oid,
      `${oid.toUpperCase()}\n`,
      'a'.repeat(64),
      'a'.repeat(39),
      `${oid}garbage`,
      '',
      'main\n',
      ' ref: refs/x',
    ],
  ]
  for (const text of texts) {
    writeFileSync(head, text)
    // Git rejects some of these later, when it reads refs; this only asks whether it accepts the repository.
    const { status } = spawnSync('git', ['rev-parse', '--git-dir'], { cwd: path, env: gitEnvironment })
    t.equal(findRepository(root, 'x') !== undefined, status === 0, JSON.stringify(text))
  }
  const link = (target: string): boolean => {
    unlinkSync(head)
    symlinkSync(target, head)
    return findRepository(root, 'x') !== undefined
  }
  t.equal(link('refs/heads/unborn'), true)
  t.equal(link('/etc/passwd'), false)
  unlinkSync(head)
  t.equal(findRepository(root, 'x'), undefined, 'no HEAD')
})

t.test('a repository needs objects and refs', async (t) => {
  const root = newRoot(t)
  const path = initBare(root, 'x.git')
  for (const part of ['objects', 'refs']) {
    renameSync(join(path, part), join(path, 'away'))
    t.equal(findRepository(root, 'x'), undefined, `no ${part}`)
    renameSync(join(path, 'away'), join(path, part))
  }
  t.ok(findRepository(root, 'x'))
})

t.test('links inside the root are followed, and none leads out of it (R8)', async (t) => {
  const directory = newRoot(t)
  const root = join(directory, 'root')
  mkdirSync(root)
  const inside = makeRepository(root, 'inside.git')
  const outside = makeRepository(directory, 'outside.git')
  makeRepository(directory, 'root-not.git')
  const link = (name: string, target: string): void => symlinkSync(target, join(root, name))
  const refused = (path: string, why: string): void => {
    t.ok(gitRefs(join(root, path)), `Git would serve ${path}`)
    t.equal(findRepository(root, path), undefined, why)
  }

  link('link.git', 'inside.git')
  t.equal(findRepository(root, 'link')?.gitDir, inside)
  link('around.git', '../root/inside.git')
  t.equal(findRepository(root, 'around')?.gitDir, inside, 'out and in again')

  link('out.git', outside)
  refused('out', 'a link')
  link('up', '..')
  refused('up/outside', 'a link on the way')
  refused('up/root-not', 'a directory whose name begins like the root’s')
  writeFileSync(join(root, 'file'), `gitdir: ${outside}\n`)
  refused('file', 'a gitfile')
  writeFileSync(join(root, 'relative'), 'gitdir: ../outside.git')
  refused('relative', 'a relative gitfile')

  git(outside, 'worktree', 'add', '--quiet', join(root, 'tree'), '-b', 'topic')
  refused('tree', 'a worktree of a repository outside')

  const common = join(root, 'common.git')
  mkdirSync(common)
  writeFileSync(join(common, 'HEAD'), 'ref: refs/heads/main\n')
  writeFileSync(join(common, 'commondir'), '../../outside.git\n')
  refused('common', 'a common directory outside')
  // Taken as text, far/.. would be the root.
  mkdirSync(join(directory, 'other/far'), { recursive: true })
  link('far', '../other/far')
  makeRepository(join(directory, 'other'), 'inside.git')
  writeFileSync(join(common, 'commondir'), '../far/../inside.git\n')
  refused('common', 'a common directory through a link')
})

t.test('parts that are links are followed, and refused if they lead out of the root (R8)', async (t) => {
  const directory = newRoot(t)
  const root = join(directory, 'root')
  git(makeRepository(directory, 'outside.git'), 'pack-refs', '--all')
  const secret = makeRepository(root, 'secret.git')
  git(secret, 'pack-refs', '--all')
  mkdirSync(join(secret, 'reftable'))
  for (const part of ['refs', 'objects', 'packed-refs', 'reftable']) {
    const path = makeRepository(root, `${part}.git`)
    if (part === 'reftable') mkdirSync(join(path, part))
    git(path, 'pack-refs', '--all')
    const link = (target: string): void => {
      rmSync(join(path, part), { recursive: true, force: true })
      symlinkSync(target, join(path, part))
    }
    link(`../../outside.git/${part === 'reftable' ? 'refs' : part}`)
    t.equal(findRepository(root, part), undefined, `${part} outside`)
    link(`../secret.git/${part}`)
    t.same(findRepository(root, part)?.linkedNames, ['secret.git'], `${part} of another repository`)
    if (part === 'packed-refs' || part === 'reftable') continue
    link(`../${part}-elsewhere`)
    t.equal(findRepository(root, part), undefined, `${part} that lead nowhere`)
    mkdirSync(join(root, `${part}-elsewhere`))
    t.same(findRepository(root, part)?.linkedNames, [`${part}-elsewhere`])
    renameSync(join(root, `${part}-elsewhere`), join(path, 'own'))
    link('own')
    t.same(findRepository(root, part)?.linkedNames, [], 'in the repository itself')
  }
})

t.test('a linked worktree’s own refs may not lead out of the root either (R8)', async (t) => {
  const directory = newRoot(t)
  const root = join(directory, 'root')
  const main = makeRepository(root, 'main.git')
  git(main, 'worktree', 'add', '--quiet', join(root, 'tree'), '-b', 'topic')
  const outside = makeRepository(directory, 'outside.git')
  t.ok(findRepository(root, 'tree'))
  const refs = join(main, 'worktrees/tree/refs')
  rmSync(refs, { recursive: true, force: true })
  t.ok(findRepository(root, 'tree'), 'it need not have any')
  symlinkSync(join(outside, 'refs'), refs)
  t.equal(findRepository(root, 'tree'), undefined)
  rmSync(refs)
  makeRepository(root, 'group/objects/other.git')
  symlinkSync(join(root, 'group/objects/other.git/refs'), refs)
  t.same(findRepository(root, 'tree')?.linkedNames, ['group/objects/other.git'])
})

t.test('a repository in which Git would enter another one is refused (R8)', async (t) => {
  const directory = newRoot(t)
  const root = join(directory, 'root')
  const outside = makeRepository(directory, 'outside.git')
  // Git would enter x.git/.git; if x.git were served instead, Git would be started on a path that leads it out of the root.
  const bare = makeRepository(root, 'x.git')
  symlinkSync(outside, join(bare, '.git'))
  t.equal(findRepository(root, 'x'), undefined)
  t.equal(findRepository(root, 'x.git'), undefined)
  // Git does not search the target of a gitfile for .git, but does search a path that it is given.
  const target = makeRepository(root, 'target')
  makeRepository(target, '.git')
  writeFileSync(join(root, 'file'), 'gitdir: target\n')
  t.equal(findRepository(root, 'file'), undefined)
})

t.test('a path that cannot be read is no repository', async (t) => {
  const root = newRoot(t)
  const loop = join(root, 'loop.git')
  symlinkSync(loop, loop)
  t.equal(findRepository(root, 'loop'), undefined)
  t.equal(findRepository(root, 'x'.repeat(300)), undefined)
  const path = initBare(root, 'x.git')
  writeFileSync(join(path, 'commondir'), 'gone\n')
  t.equal(findRepository(root, 'x'), undefined)
  writeFileSync(join(root, 'big'), `gitdir: x.git${'\n'.repeat(10_000)}`)
  t.equal(findRepository(root, 'big'), undefined, 'a gitfile of any size is not read')
})
