import t from 'tap'
import { mkdirSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { RepositoriesRoot } from '../../../src/git/state/repositories-root.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('an absolute path is relative to the root if it leads below it, by any links', async (t) => {
  const directory = realpathSync(tempDir(t))
  const root = join(directory, 'root')
  mkdirSync(join(root, 'a/..b'), { recursive: true })
  mkdirSync(join(directory, 'root2'))
  symlinkSync('root', join(directory, 'in'))
  symlinkSync('../root2', join(root, 'out'))
  symlinkSync('loop', join(root, 'loop'))
  const below = (path: string): string | undefined =>
    new RepositoriesRoot(root).relative(join(directory, path))
  t.equal(below('root'), '')
  t.equal(below('root/a/'), 'a')
  t.equal(below('in/a/..b'), 'a/..b')
  t.equal(
    new RepositoriesRoot(join(root, 'a')).relative(join(root, 'a/..b')),
    '..b',
    'two dots begin a name like any other',
  )
  t.equal(new RepositoriesRoot('/').relative(root), root.slice(1))
  for (const path of ['', 'root2', 'root/out', 'root/loop', 'root/none', 'none']) {
    t.equal(below(path), undefined, path)
  }
})

t.test('the root is resolved anew when links move or directories are renamed', async (t) => {
  const directory = realpathSync(tempDir(t))
  const at = (name: string): string => join(directory, name)
  for (const name of ['one', 'two']) mkdirSync(at(name))
  symlinkSync('one', at('current'))
  const root = new RepositoriesRoot(at('current'))
  t.equal(root.real(), at('one'))
  rmSync(at('current'))
  symlinkSync('two', at('current'))
  t.equal(root.real(), at('two'))
  rmSync(at('current'))
  t.equal(root.real(), undefined, 'gone')
  symlinkSync('one', at('current'))
  t.equal(root.real(), at('one'), 'and back')
  renameSync(at('one'), at('three'))
  rmSync(at('current'))
  symlinkSync('three', at('current'))
  t.equal(root.resolve(), at('three'), 'the same directory by another name')
  t.equal(root.relative(at('current')), '')
})
