import t from 'tap'
import { spawnSync } from 'node:child_process'
import { mkdirSync, realpathSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { pathBytes, pathText } from '../../../src/git/filesystem/byte-path.js'
import { OpenDirectory } from '../../../src/git/filesystem/open-directory.js'
import { launcherInRepository, remoteProgram, type Launcher } from '../../../src/git/process/launcher.js'
import type { Repository } from '../../../src/git/state/repository.js'
import { tempDir } from '../../support/temp-dir.js'

const skip = process.platform !== 'linux' && 'descriptors have no paths here'

type Directory = Readonly<Record<'path' | 'identity', string>>

function makeDirectory(parent: string, name: Buffer): Directory {
  const path = Buffer.concat([Buffer.from(`${parent}/`), name])
  mkdirSync(path)
  const directory = OpenDirectory.open(path)!
  directory.close()
  return { path: pathText(path), identity: directory.identity }
}

const repositoryIn = (git: Directory, common = git): Repository => ({
  gitDir: git.path,
  gitIdentity: git.identity,
  commonDir: common.path,
  commonIdentity: common.identity,
  gitName: '',
  commonName: '',
  linkedNames: [],
})

const run = ([program, ...before]: Launcher, ...command: string[]) =>
  spawnSync(program, [...before, ...command], { cwd: '/' })

t.test('the program starts in the directory, whatever bytes are in its name', { skip }, async (t) => {
  const root = realpathSync(tempDir(t))
  for (const name of ['plain', "it's $(x) %s \\0101\n", 'caf\xe9']) {
    const git = makeDirectory(root, Buffer.from(name, 'latin1'))
    const { stdout, status } = run(launcherInRepository(repositoryIn(git)), 'pwd', '-P')
    t.equal(status, 0, JSON.stringify(name))
    t.same(stdout.subarray(0, -1), pathBytes(git.path), JSON.stringify(name))
  }
})

t.test('a common directory becomes descriptor 3', { skip }, async (t) => {
  const root = realpathSync(tempDir(t))
  const git = makeDirectory(root, Buffer.from('git'))
  const common = makeDirectory(root, Buffer.from('common'))
  const { stdout } = run(launcherInRepository(repositoryIn(git, common)), 'readlink', '/proc/self/fd/3')
  t.equal(stdout.toString(), `${common.path}\n`)
})

t.test('another directory at the path is refused before the program starts', { skip }, async (t) => {
  const root = realpathSync(tempDir(t))
  const git = makeDirectory(root, Buffer.from('r.git'))
  renameSync(git.path, join(root, 'away'))
  mkdirSync(git.path)
  const { stdout, stderr, status } = run(launcherInRepository(repositoryIn(git)), 'echo', 'started')
  t.equal(status, 75)
  t.equal(stdout.toString(), '')
  t.match(stderr.toString(), /the repository was exchanged/)
})

t.test('a remote program gets its arguments unchanged', async (t) => {
  const { stdout } = run(remoteProgram, 'printf', '%s|', 'a b', '$HOME', '')
  t.equal(stdout.toString(), 'a b|$HOME||')
})
