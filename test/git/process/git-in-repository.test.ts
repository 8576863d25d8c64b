import t from 'tap'
import { existsSync, mkdirSync, realpathSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { pathBytes } from '../../../src/git/filesystem/byte-path.js'
import { Git, type Complaint } from '../../../src/git/process/git.js'
import { outputOf } from '../../../src/git/process/git-process.js'
import { spawnIn } from '../../../src/git/process/git-in-repository.js'
import { findProgram } from '../../../src/git/process/installation.js'
import { MountTable } from '../../../src/git/filesystem/mount-table.js'
import { advertisement } from '../../../src/git/process/upload-pack.js'
import { findRepository, repositoryAt } from '../../support/found-repository.js'
import { git, gitEnvironment, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const program = findProgram('git', process.env['PATH'])!
const complaints: Complaint[] = []
const root = realpathSync(tempDir(t))
const makeGit = (point?: string) =>
  new Git({
    path: program,
    environment: gitEnvironment,
    complained: (complaint) => complaints.push(complaint),
    ...(point === undefined
      ? {}
      : {
          mounts: new MountTable(() =>
            Buffer.from(`1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / ${point} rw - nfs x rw\n`),
          ),
        }),
  })
/** Starts Git directly, and through a shell: for a repository, and for a Git program, on a mount that may hang. */
const ways = { near: makeGit(), far: makeGit(root), program: makeGit(program) }

const advertised = async (git: Git, repository: ReturnType<typeof repositoryAt>): Promise<string> => {
  const chunks: Buffer[] = []
  const { signal } = new AbortController()
  for await (const chunk of advertisement(git, repository, 0, signal)) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

t.test(
  'Git’s output is the same when a shell starts it',
  { skip: !existsSync('/proc/self/mountinfo') },
  async (t) => {
    makeRepository(root, 'r.git')
    makeRepository(root, 'o\'dd "name\\x\n.git')
    git(join(root, 'r.git'), 'worktree', 'add', '--quiet', '--detach', join(root, 'tree'), 'main')
    for (const path of ['r.git', 'tree', 'o\'dd "name\\x\n.git']) {
      const repository = findRepository(root, path)!
      const expected = await advertised(ways.near, repository)
      t.match(expected, 'refs/heads/main')
      for (const way of ['far', 'program'] as const)
        t.equal(await advertised(ways[way], repository), expected, way)
      const where = await outputOf(
        spawnIn(ways.far, repository, ['rev-parse', '--absolute-git-dir'], {
          environment: ways.far.environment,
        }),
      )
      t.equal(where, `${repository.gitDir}\n`)
    }
    t.same(complaints, [])
  },
)

t.test(
  'a repository whose name is not UTF-8 is entered',
  { skip: !existsSync('/proc/self/mountinfo') },
  async (t) => {
    const made = makeRepository(root, 'utf8.git')
    const name = 'caf\udce9.git'
    renameSync(made, pathBytes(join(root, name)))
    const repository = findRepository(root, name)!
    t.equal(await advertised(ways.far, repository), await advertised(ways.near, repository))
  },
)

t.test(
  'another directory at the same path is not read',
  { skip: !existsSync('/proc/self/mountinfo') },
  async (t) => {
    const path = makeRepository(root, 'a.git')
    const repository = repositoryAt(path)
    renameSync(path, join(root, 'away.git'))
    makeRepository(root, 'a.git')
    await t.rejects(advertised(ways.far, repository), { name: 'GitError', message: /exit code 75/ })
    await t.rejects(advertised(ways.near, repository), { name: 'RepositoryExchanged' })
    renameSync(path, join(root, 'other.git'))
    await t.rejects(advertised(ways.far, repository), { name: 'GitError' })
    mkdirSync(path)
    t.match(complaints.at(-2)?.stderr, /exchanged/)
  },
)
