import t from 'tap'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { OpenDirectory } from '../../../src/git/filesystem/open-directory.js'
import { tempDir } from '../../support/temp-dir.js'

const onLinux = process.platform === 'linux'

t.test('files are reached in the directory that was opened', { skip: !onLinux }, async (t) => {
  const root = realpathSync(tempDir(t))
  for (const name of ['a', 'b']) {
    mkdirSync(join(root, name))
    writeFileSync(join(root, name, 'file'), name)
  }
  const opened = OpenDirectory.open(join(root, 'a'))!
  const text = (): string => readFileSync(opened.at('file').path, 'utf8')
  t.equal(opened.path, join(root, 'a'))
  t.equal(text(), 'a')
  renameSync(join(root, 'a'), join(root, 'aside'))
  symlinkSync('b', join(root, 'a'))
  t.equal(text(), 'a', 'whatever its path means now')
  const other = OpenDirectory.open(join(root, 'a'))!
  t.equal(other.path, join(root, 'b'), 'links are followed')
  t.not(other.identity, opened.identity)
  t.not(other.at('file').name, opened.at('file').name)
  const again = OpenDirectory.open(join(root, 'aside'))!
  t.equal(again.identity, opened.identity, 'the same directory by another path')
  for (const each of [opened, other, again]) each.close()
})

t.test('a directory that reuses an inode number has another identity', async (t) => {
  const root = tempDir(t)
  const identities = new Set<string>()
  for (let round = 0; round < 20; round++) {
    const path = join(root, 'x')
    mkdirSync(path)
    const opened = OpenDirectory.open(path)!
    identities.add(opened.identity)
    opened.close()
    rmSync(path, { recursive: true })
  }
  t.equal(identities.size, 20)
})

t.test('a file or a missing directory cannot be opened, and no descriptor is left open', async (t) => {
  const root = tempDir(t)
  writeFileSync(join(root, 'file'), '')
  symlinkSync('loop', join(root, 'loop'))
  const open = (): number => (onLinux ? readdirSync('/proc/self/fd').length : 0)
  const before = open()
  for (const name of ['file', 'loop', 'none', 'file/below', 'x'.repeat(300)]) {
    t.equal(OpenDirectory.open(join(root, name)), undefined, name)
  }
  t.equal(OpenDirectory.open('a\0b'), undefined)
  const opened = OpenDirectory.open(root)
  opened?.close()
  t.equal(open(), before)
})
