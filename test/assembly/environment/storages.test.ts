import t from 'tap'
import { mkdirSync, realpathSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { RepositoriesRoot } from '../../../src/git/state/repositories-root.js'
import { findStorages } from '../../../src/assembly/environment/storages.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('storages are the root, or directories below it', async (t) => {
  const root = realpathSync(tempDir(t))
  mkdirSync(join(root, 'a/b'), { recursive: true })
  symlinkSync('a/b', join(root, 'link'))
  const storages = [
    ...['.', root, 'a', join(root, 'a/b'), 'link'].map((directory, index) => ({
      name: `${index}`,
      directory,
    })),
  ]
  const find = (given: typeof storages) =>
    findStorages(root, given, (path) => new RepositoriesRoot(root).relative(path))
  t.same([...(await find(storages)).values()], ['', '', 'a', 'a/b', 'a/b'])
  symlinkSync(tempDir(t), join(root, 'out'))
  for (const directory of ['..', '/', 'out', 'none', tempDir(t)]) {
    const message = `--gitaly-storages: ${JSON.stringify(directory)} is not a directory below the root; give one, or the root`
    await t.rejects(find([{ name: 'x', directory }]), {
      name: 'ConfigError',
      message,
    })
  }
})
