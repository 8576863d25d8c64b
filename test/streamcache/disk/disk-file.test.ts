import t from 'tap'
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DiskFile, isDamage } from '../../../src/streamcache/disk/disk-file.js'
import { DiskWatchdog } from '../../../src/streamcache/disk/disk-watchdog.js'
import { breakFs, systemError } from '../../support/broken-fs.js'
import { eventually } from '../../support/eventually.js'
import { bytesOf } from '../../support/producers.js'
import { nothingLeaks, openFilesUnder } from '../../support/stream-cache.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('bytes written at a position are read from there', async (t) => {
  const path = join(tempDir(t), 'file')
  const file = await DiskFile.create(path)
  await file.write([Buffer.from('ab'), Buffer.from('cd')], 0)
  await file.write([Buffer.from('ef')], 4)
  t.equal((await file.read(1, 4)).toString(), 'bcde')
  t.equal(readFileSync(path, 'utf8'), 'abcdef')
  file.close()
})

t.test('a short write is continued', async (t) => {
  const path = join(tempDir(t), 'file')
  const file = await DiskFile.create(path)
  const handle = await file.open()
  // At most three bytes at a time, as on a disk that is nearly full.
  t.capture(handle, 'writev', async (buffers: Buffer[], position: number) => {
    return handle.write(Buffer.concat(buffers).subarray(0, 3), 0, null, position)
  })
  await file.write([Buffer.from('ab'), Buffer.from(''), Buffer.from('cdef'), Buffer.from('gh')], 0)
  t.equal(readFileSync(path, 'utf8'), 'abcdefgh')

  t.capture(handle, 'writev', async () => ({ bytesWritten: 0 }))
  await t.rejects(file.write([Buffer.from('x')], 8), /cannot write/)
  file.close()
})

t.test('an existing file is not overwritten', async (t) => {
  const path = join(tempDir(t), 'file')
  writeFileSync(path, 'existing')
  await t.rejects(DiskFile.create(path), { code: 'EEXIST' })
})

t.test('reading past the end is an error, never fewer bytes', async (t) => {
  const file = await DiskFile.create(join(tempDir(t), 'file'))
  await file.write([Buffer.from('abc')], 0)
  await t.rejects(file.read(1, 3), /truncated/)
  file.close()
})

t.test('renaming and unlinking do not affect readers', async (t) => {
  const directory = tempDir(t)
  const file = await DiskFile.create(join(directory, 'temporary'))
  await file.write([bytesOf(1, 0, 1000)], 0)
  await file.commit(join(directory, 'final'), 1000)
  t.notOk(existsSync(join(directory, 'temporary')))
  t.ok((await file.read(0, 1000)).equals(bytesOf(1, 0, 1000)))
  await file.unlink()
  await file.unlink()
  t.ok((await file.read(0, 1000)).equals(bytesOf(1, 0, 1000)))
  file.close()
  await t.rejects(file.open(), { code: 'ENOENT' }, 'after it is closed, it is gone')
})

t.test('the metadata is written beside the final name, and removed with the body, after it', async (t) => {
  const directory = tempDir(t)
  const path = join(directory, 'final')
  for (const remove of [(file: DiskFile) => file.unlink(), async (file: DiskFile) => file.unlinkNow()]) {
    for (const committed of [true, false]) {
      const file = await DiskFile.create(join(directory, 'temporary'))
      await file.write([Buffer.from('abc')], 0)
      await file.writeMetadata(Buffer.from('metadata'), path)
      t.same(readdirSync(directory).sort(), ['final.meta', 'temporary'])
      if (committed) await file.commit(path, 3)
      if (committed)
        t.same([readFileSync(path, 'utf8'), readFileSync(`${path}.meta`, 'utf8')], ['abc', 'metadata'])
      await remove(file)
      await remove(file)
      t.same(readdirSync(directory), [], committed ? 'committed' : 'not committed')
      file.close()
    }
    writeFileSync(path, 'abc')
    writeFileSync(`${path}.meta`, 'metadata')
    await remove(DiskFile.committed(path, 3))
    t.same(readdirSync(directory), [], 'committed by an earlier process')
  }
})

t.test('metadata that cannot be written leaves nothing behind', async (t) => {
  for (const operation of ['open', 'writev'] as const) {
    const directory = tempDir(t)
    const file = await DiskFile.create(join(directory, 'temporary'))
    const disk = await breakFs(t)
    disk.decide = (what) => (what === operation ? systemError('ENOSPC') : undefined)
    await t.rejects(file.writeMetadata(Buffer.from('metadata'), join(directory, 'final')), { code: 'ENOSPC' })
    disk.decide = () => undefined
    t.same(
      openFilesUnder(directory).filter((path) => path.endsWith('.meta')),
      [],
    )
    await file.unlink()
    t.same(readdirSync(directory), [], operation)
    file.close()
  }
})

t.test('metadata that is written too late is removed all the same', async (t) => {
  const directory = tempDir(t)
  const file = await DiskFile.create(join(directory, 'temporary'), new DiskWatchdog(50))
  const disk = await breakFs(t)
  disk.decide = (what) => (what === 'open' ? 'hang' : undefined)
  await t.rejects(file.writeMetadata(Buffer.from('metadata'), join(directory, 'final')), /does not answer/)
  await t.rejects(file.unlink(), /does not answer/, 'not before it has been written')
  disk.decide = () => undefined
  disk.release()
  await eventually('it is removed', () =>
    file.unlink().then(
      () => true,
      () => false,
    ),
  )
  t.same(readdirSync(directory), [])
  file.close()
})

t.test('a committed file is opened when needed, and only at its length', async (t) => {
  const path = join(tempDir(t), 'file')
  writeFileSync(path, 'abc')
  const file = DiskFile.committed(path, 3)
  t.equal(openFilesUnder(path.slice(0, -5)).length, 0)
  t.equal((await file.read(0, 3)).toString(), 'abc')
  file.close()
  file.close()
  truncateSync(path, 2)
  await t.rejects(file.read(0, 2), /2 bytes instead of 3/)
  writeFileSync(path, 'abc')
  await file.trustCurrent()
  t.equal((await file.read(0, 3)).toString(), 'abc', 'a failed opening is not remembered')
  file.close()
})

t.test('a committed file that was replaced or written to is detected at the next open', async (t) => {
  const changes: [string, (path: string) => void][] = [
    ['replaced', (path) => (writeFileSync(`${path}.new`, 'xyz'), renameSync(`${path}.new`, path))],
    ['replaced at the same time', replaceAtSameTime],
    ['written to', (path) => (writeFileSync(path, 'xyz'), utimesSync(path, 1, 1))],
    ['removed', (path) => rmSync(path)],
  ]
  for (const made of ['by this process', 'by an earlier one']) {
    for (const [name, change] of changes) {
      const path = join(tempDir(t), 'file')
      const file = made === 'by this process' ? await commit(path) : DiskFile.committed(path, 3)
      if (made === 'by an earlier one') writeFileSync(path, 'abc')
      t.equal((await file.read(0, 3)).toString(), 'abc')
      file.close()
      t.equal((await file.read(0, 3)).toString(), 'abc', 'as long as it is untouched')
      change(path)
      t.equal((await file.read(0, 3)).toString().length, 3, 'an open handle reads on')
      file.close()
      const error: unknown = await file.open().then(
        () => t.fail(`${name}: opened`),
        (reason: unknown) => reason,
      )
      t.ok(isDamage(error), `${name}, made ${made}`)
      await t.rejects(file.open(), 'and not later')
      if (name === 'removed') {
        await t.rejects(file.trustCurrent(), { code: 'ENOENT' })
        continue
      }
      await file.trustCurrent()
      t.equal((await file.read(0, 3)).toString(), 'xyz', 'unless its bytes are verified next')
      file.close()
    }
  }
})

async function commit(path: string): Promise<DiskFile> {
  const file = await DiskFile.create(`${path}.temporary`)
  await file.write([Buffer.from('abc')], 0)
  await file.commit(path, 3)
  return file
}

function replaceAtSameTime(path: string): void {
  const { atime, mtime } = statSync(path)
  writeFileSync(`${path}.new`, 'xyz')
  utimesSync(`${path}.new`, atime, mtime)
  renameSync(`${path}.new`, path)
}

t.test('errors about the state of the system do not prove damage', async (t) => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOMEM', 'EACCES', 'EPERM', 'EROFS', 'EIO', 'ENOTDIR', 'ELOOP']) {
    t.notOk(isDamage(systemError(code)), code)
  }
  t.ok(isDamage(systemError('ENOENT')))
})

t.test('reads during close() leave no handle open', async (t) => {
  const directory = tempDir(t)
  const path = join(directory, 'file')
  writeFileSync(path, 'abc')
  const file = DiskFile.committed(path, 3)
  const reads = [file.read(0, 3), file.read(0, 3)]
  file.close()
  await Promise.allSettled(reads)
  file.close()
  renameSync(path, `${path}.away`)
  await t.rejects(file.open(), { code: 'ENOENT' })
  await nothingLeaks(directory)
})
