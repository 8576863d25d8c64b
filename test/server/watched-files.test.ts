import t, { type Test } from 'tap'
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WatchedFiles } from '../../src/server/watched-files.js'
import { eventually } from '../support/eventually.js'
import { tempDir } from '../support/temp-dir.js'

/** A watched file whose content must not be `bad`, and the events of its watcher. */
function watch(t: Test, path: string) {
  const events: string[] = []
  const files = new WatchedFiles({
    pollMs: 5,
    reloaded: (what) => events.push(`${what} reloaded`),
    failed: (what, error) => events.push(`${what} failed: ${(error as Error).message}`),
  })
  t.teardown(() => files.close())
  let content = ''
  const add = (): void =>
    files.add('it', [path], () => {
      const read = readFileSync(path, 'utf8')
      if (read === 'bad') throw new Error('bad content')
      content = read
    })
  return { files, add, events, content: () => content }
}

/** Changes a file in one step: while it is written, it is empty first, which is a change of its own. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

t.test('a file is read again when it changes; bad content changes nothing', async (t) => {
  const path = join(tempDir(t), 'file')
  writeFileSync(path, 'one')
  const { add, events, content } = watch(t, path)
  add()
  t.equal(content(), 'one')
  t.same(events, [], 'the first read is not an event')
  replace(path, 'two')
  await eventually('the change is read', () => content() === 'two')
  replace(path, 'bad')
  await eventually('the error is reported', () => events.includes('it failed: bad content'))
  t.equal(content(), 'two')
  t.equal(events.filter((event) => event.includes('failed')).length, 1, 'once for each change')
  unlinkSync(path)
  await eventually('a missing file is reported', () => events.some((event) => event.includes('ENOENT')))
  writeFileSync(path, 'three')
  await eventually('the new file is read', () => content() === 'three')
})

t.test('a link further up that points elsewhere is noticed', async (t) => {
  const directory = tempDir(t)
  for (const name of ['a', 'b']) {
    mkdirSync(join(directory, name))
    writeFileSync(join(directory, name, 'file'), name)
  }
  symlinkSync('a', join(directory, 'current'))
  const { add, content } = watch(t, join(directory, 'current/file'))
  add()
  t.equal(content(), 'a')
  symlinkSync('b', join(directory, 'next'))
  renameSync(join(directory, 'next'), join(directory, 'current'))
  await eventually('the other file is read', () => content() === 'b')
})

t.test('a reload reads unchanged files too, and rejects what is not a regular file', async (t) => {
  const path = join(tempDir(t), 'file')
  writeFileSync(path, 'one')
  const { files, add, events } = watch(t, path)
  add()
  files.reload()
  t.same(events, ['it reloaded'])
  files.close()
  rmSync(path)
  mkdirSync(path)
  files.reload()
  t.match(events[1], /^it failed: .* is not a regular file; it is read at the start only$/)
})

t.test('an error of the first read is thrown, and nothing is watched', async (t) => {
  const path = join(tempDir(t), 'file')
  writeFileSync(path, 'bad')
  const { files, add, events } = watch(t, path)
  t.throws(add, { message: 'bad content' })
  files.reload()
  t.same(events, [])
})
