import t from 'tap'
import { mkdirSync, realpathSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { findObjectDirectories } from '../../../src/git/state/object-directories.js'
import { objectEnvironment } from '../../../src/git/process/environment.js'
import { repositoryAt } from '../../support/found-repository.js'
import { gitWith, initBare, makeCommit } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('directories in the repository are resolved, and Git finds objects there', async (t) => {
  const root = realpathSync(tempDir(t))
  // A colon separates alternates, and a backslash and a quote are special in quoting.
  const commonDir = initBare(root, 'odd:"na\\me.git')
  const repository = repositoryAt(commonDir)
  const commit = makeCommit(commonDir, 'one')
  mkdirSync(join(commonDir, 'objects/incoming'))
  const found = findObjectDirectories(repository, 'objects/incoming', ['objects'])
  t.same(found, {
    main: 'objects/incoming',
    alternates: ['objects'],
  })
  if ('refused' in found) return
  const environment = objectEnvironment(commonDir, found)
  t.equal(gitWith({ cwd: commonDir, environment }, 'cat-file', '-t', commit), 'commit')
  const alone = objectEnvironment(commonDir, { ...found, alternates: [] })
  t.throws(() => gitWith({ cwd: commonDir, environment: alone }, 'cat-file', '-t', commit), 'not without')
  t.same(findObjectDirectories(repository, '', []), { main: undefined, alternates: [] })
})

t.test('a directory that does not exist, or leads out of the repository, is refused by name', async (t) => {
  const root = realpathSync(tempDir(t))
  const commonDir = initBare(root, 'r.git')
  const beside = initBare(root, 'r.git2')
  symlinkSync(beside, join(commonDir, 'objects/link'))
  const repository = repositoryAt(commonDir)
  for (const path of [
    '..',
    '.',
    '../r.git2',
    '../r.git/objects',
    beside,
    'objects/link',
    'none',
    'a\0b',
    'objects/',
  ]) {
    const refused = { refused: `object directory ${JSON.stringify(path)} is not in the repository` }
    t.same(findObjectDirectories(repository, path, []), refused)
    t.same(findObjectDirectories(repository, '', ['objects', path]), refused)
  }
  t.match(findObjectDirectories(repository, '', Array<string>(33).fill('objects')), {
    refused: /more than 32/,
  })
})
