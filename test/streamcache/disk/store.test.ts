import t from 'tap'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { encodeFooter, tailLength } from '../../../src/streamcache/disk/footer.js'
import { Store, type DiscardReason, type StoredEntry } from '../../../src/streamcache/disk/store.js'
import { filesIn, openFilesUnder } from '../../support/stream-cache.js'
import { tempDir } from '../../support/temp-dir.js'

/** Commits an entry with the store. @returns its path */
async function put(directory: string, key: string, text: string, committedAt = 1): Promise<string> {
  const store = new Store(join(directory, 'instance-0'))
  const disk = await store.create()
  const sha256 = createHash('sha256').update(text).digest('hex')
  const footer = encodeFooter({ key, token: 't', length: text.length, sha256, committedAt })
  await disk.write([Buffer.from(text), footer], 0)
  const path = store.committedPath(key)
  await disk.commit(path, text.length + footer.length)
  disk.close()
  return path
}

const replaceIn = (path: string, from: string, to: string): Buffer =>
  Buffer.from(readFileSync(path, 'latin1').replace(from, to), 'latin1')

/** A file whose tail says that nearly all of it is the footer. */
function longFooter(): Buffer {
  const bytes = Buffer.alloc(2 * 1024 * 1024)
  const whole = encodeFooter({ key: '', token: '', length: 0, sha256: '0'.repeat(64), committedAt: 1 })
  const tail = whole.subarray(-tailLength)
  tail.writeUInt32BE(bytes.length - tailLength)
  tail.copy(bytes, bytes.length - tailLength)
  return bytes
}

async function scan(directory: string): Promise<{ found: StoredEntry[]; discarded: DiscardReason[] }> {
  const discarded: DiscardReason[] = []
  const found = await new Store(join(directory, 'instance-0')).scan((reason) => discarded.push(reason))
  return { found, discarded }
}

t.test('committed files are found again, oldest first', async (t) => {
  const directory = tempDir(t)
  await put(directory, 'b', 'two', 2)
  await put(directory, 'c', '', 3)
  await put(directory, 'a', 'one', 1)
  const { found, discarded } = await scan(directory)
  t.same(
    found.map(({ footer }) => [footer.key, footer.length]),
    [
      ['a', 3],
      ['b', 3],
      ['c', 0],
    ],
  )
  t.equal((await found[0]!.disk.read(0, 3)).toString(), 'one')
  for (const { disk, size } of found) {
    t.equal((await (await disk.open()).stat()).size, size)
    disk.close()
  }
  t.same(discarded, [])
})

t.test('an empty or missing directory holds nothing', async (t) => {
  const directory = join(tempDir(t), 'a', 'b')
  t.same(await scan(directory), { found: [], discarded: [] })
  t.ok(
    existsSync(join(directory, 'instance-0', 'temp')) && existsSync(join(directory, 'instance-0', 'entries')),
  )
})

t.test('damaged files are removed, and counted by reason', async (t) => {
  const spoiled: [name: string, spoil: (path: string) => void, reason: DiscardReason][] = [
    ['cut at the end', (path) => truncateSync(path, readFileSync(path).length - 1), 'truncated'],
    ['cut to nothing', (path) => truncateSync(path, 0), 'truncated'],
    ['garbage', (path) => writeFileSync(path, 'x'.repeat(1000)), 'truncated'],
    // The tail is intact and the beginning is missing, which the length of the rest shows.
    ['cut at the start', (path) => writeFileSync(path, readFileSync(path).subarray(1)), 'corrupt'],
    ['only a footer', (path) => writeFileSync(path, readFileSync(path).subarray(5)), 'corrupt'],
    ['only a tail', (path) => writeFileSync(path, readFileSync(path).subarray(-tailLength)), 'truncated'],
    ['no JSON', (path) => writeFileSync(path, replaceIn(path, '{', '[')), 'corrupt'],
    ['bytes behind it', (path) => appendFileSync(path, '\0'), 'truncated'],
    ['itself behind it', (path) => appendFileSync(path, readFileSync(path)), 'corrupt'],
    ['another format', (path) => writeFileSync(path, 'hello{}\0\0\0\u0002rfstrm01'), 'format'],
    ['a footer too long for memory', (path) => writeFileSync(path, longFooter()), 'corrupt'],
    ['a directory', (path) => (rmSync(path), mkdirSync(join(path, 'x'), { recursive: true })), 'corrupt'],
  ]
  for (const [name, spoil, reason] of spoiled) {
    const directory = tempDir(t)
    await put(directory, 'good', 'good')
    spoil(await put(directory, 'bad', 'hello'))
    const { found, discarded } = await scan(directory)
    t.same(
      found.map(({ footer }) => footer.key),
      ['good'],
      name,
    )
    t.same(discarded, [reason], name)
    t.equal(filesIn(directory, 'entries').length, 1, `${name}: the file was removed`)
    t.same(openFilesUnder(directory), [], name)
  }
})

t.test('what a crash left in temp/ is removed', async (t) => {
  const directory = tempDir(t)
  await put(directory, 'good', 'good')
  const open = await new Store(join(directory, 'instance-0')).create()
  mkdirSync(join(directory, 'instance-0', 'temp', 'folder', 'folder'), { recursive: true })
  const { found, discarded } = await scan(directory)
  t.same([found.length, discarded], [1, ['temp', 'temp']])
  t.same(filesIn(directory, 'temp'), [])
  open.close()
})

t.test('a removed directory is created again', async (t) => {
  const directory = join(tempDir(t), 'cache')
  const store = new Store(join(directory, 'instance-0'))
  await store.scan(() => {})
  rmSync(directory, { recursive: true })
  const disk = await store.create()
  await disk.commit(store.committedPath('key'), 0)
  t.equal(filesIn(directory, 'entries').length, 1)
  disk.close()
})

t.test('a committed path is new each time, and contains no part of the key', async (t) => {
  const store = new Store('/cache')
  const key = '../../etc/passwd\0'
  const names = [store.committedPath(key), store.committedPath(key)]
  t.not(names[0], names[1])
  for (const name of names) t.match(name, /^\/cache\/entries\/[0-9a-f]{64}\.[0-9a-f-]{36}$/)
})
