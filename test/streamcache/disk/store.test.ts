import t from 'tap'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { encodeMetadata } from '../../../src/streamcache/disk/metadata.js'
import { Store } from '../../../src/streamcache/disk/store.js'
import type { StoreScanEvents } from '../../../src/streamcache/disk/store-scan.js'
import type { DiscardReason, StoredEntry } from '../../../src/streamcache/disk/stored-entry.js'
import { breakFs, systemError } from '../../support/broken-fs.js'
import { footer } from '../../support/footer.js'
import { filesIn, openFilesUnder } from '../../support/stream-cache.js'
import { tempDir } from '../../support/temp-dir.js'

const ignored: StoreScanEvents = { found: () => {}, discarded: () => {}, failed: () => {} }

const storeIn = (directory: string, events: Partial<StoreScanEvents> = {}): Store =>
  new Store(join(directory, 'instance-0'), { ...ignored, ...events })

/** Commits an entry with the store. @returns its path */
async function put(directory: string, key: string, text: string, committedAt = 1): Promise<string> {
  const store = storeIn(directory)
  const disk = await store.create()
  const sha256 = createHash('sha256').update(text).digest('hex')
  const path = store.committedPath(key)
  if (text !== '') await disk.write([Buffer.from(text)], 0)
  await disk.writeMetadata(
    encodeMetadata({ key, token: 't', length: text.length, sha256, committedAt }),
    path,
  )
  await disk.commit(path, text.length)
  disk.close()
  return path
}

/** Replaces text in the metadata of a body. */
function rewrite(path: string, from: string, to: string): void {
  writeFileSync(`${path}.meta`, readFileSync(`${path}.meta`, 'utf8').replace(from, to))
}

async function scan(directory: string): Promise<{ found: StoredEntry[]; discarded: DiscardReason[] }> {
  const discarded: DiscardReason[] = []
  const found: StoredEntry[] = []
  const store = storeIn(directory, {
    found: (entry) => found.push(entry),
    discarded: (reason) => discarded.push(reason),
  })
  await store.open()
  await store.scan.run()
  return { found: found.sort((a, b) => a.metadata.committedAt - b.metadata.committedAt), discarded }
}

t.test('committed files are found again', async (t) => {
  const directory = tempDir(t)
  await put(directory, 'b', 'two', 2)
  await put(directory, 'c', '', 3)
  await put(directory, 'a', 'one', 1)
  const { found, discarded } = await scan(directory)
  t.same(
    found.map(({ metadata }) => [metadata.key, metadata.length]),
    [
      ['a', 3],
      ['b', 3],
      ['c', 0],
    ],
  )
  t.equal((await found[0]!.disk.read(0, 3)).toString(), 'one')
  for (const { disk, metadata, size } of found) {
    t.equal((await (await disk.open()).stat()).size, metadata.length)
    const files = filesIn(directory, 'metadata').map((name) => join(directory, 'instance-0', 'entries', name))
    t.ok(
      files.some((path) => statSync(path).size === size - metadata.length),
      'both files count',
    )
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

const oldFooter = footer({ key: 'bad', token: 't', length: 5, sha256: '0'.repeat(64), committedAt: 1 })

t.test('damaged files are removed, and counted by reason', async (t) => {
  const meta = (path: string): string => `${path}.meta`
  const makeDirectory = (path: string): void => {
    rmSync(path)
    mkdirSync(join(path, 'x'), { recursive: true })
  }
  const spoiled: [name: string, spoil: (path: string) => void, reason: DiscardReason][] = [
    ['cut at the end', (path) => truncateSync(path, 4), 'truncated'],
    ['cut to nothing', (path) => truncateSync(path, 0), 'truncated'],
    ['cut at the start', (path) => writeFileSync(path, 'ello'), 'truncated'],
    ['bytes behind it', (path) => appendFileSync(path, '\0'), 'corrupt'],
    ['a directory', makeDirectory, 'corrupt'],
    ['a link to nothing', (path) => (rmSync(path), symlinkSync('nothing', path)), 'corrupt'],
    ['no metadata', (path) => rmSync(meta(path)), 'corrupt'],
    ['nothing, and no metadata', (path) => (truncateSync(path, 0), rmSync(meta(path))), 'corrupt'],
    ['a directory without metadata', (path) => (makeDirectory(path), rmSync(meta(path))), 'corrupt'],
    ['empty metadata', (path) => truncateSync(meta(path), 0), 'corrupt'],
    ['metadata cut at the end', (path) => truncateSync(meta(path), 100), 'corrupt'],
    ['bytes behind the metadata', (path) => appendFileSync(meta(path), '\n'), 'corrupt'],
    ['metadata that is no JSON', (path) => rewrite(path, '{', '['), 'corrupt'],
    ['metadata with another key', (path) => rewrite(path, 'bad', 'dab'), 'corrupt'],
    ['metadata too long for memory', (path) => truncateSync(meta(path), 2 ** 40), 'corrupt'],
    ['a directory as metadata', (path) => makeDirectory(meta(path)), 'corrupt'],
    [
      'a link to nothing as metadata',
      (path) => (rmSync(meta(path)), symlinkSync('nothing', meta(path))),
      'corrupt',
    ],
    ['the body as metadata', (path) => writeFileSync(meta(path), 'hello'), 'corrupt'],
    ['the metadata as body', (path) => writeFileSync(path, readFileSync(meta(path))), 'corrupt'],
    ['metadata of another format', (path) => rewrite(path, '"format":3', '"format":4'), 'format'],
    ['a footer', (path) => (rmSync(meta(path)), appendFileSync(path, oldFooter)), 'format'],
    ['a footer and metadata', (path) => appendFileSync(path, oldFooter), 'corrupt'],
    [
      'a footer of format 1',
      (path) => (rmSync(meta(path)), writeFileSync(path, 'hello{}\0\0\0\u0002rfstrm01')),
      'format',
    ],
    ['a crash before the rename', (path) => rmSync(path), 'temp'],
    ['a crash in the metadata', (path) => (rmSync(path), truncateSync(meta(path), 10)), 'temp'],
  ]
  for (const [name, spoil, reason] of spoiled) {
    const directory = tempDir(t)
    await put(directory, 'good', 'good')
    spoil(await put(directory, 'bad', 'hello'))
    const { found, discarded } = await scan(directory)
    t.same(
      found.map(({ metadata }) => metadata.key),
      ['good'],
      name,
    )
    t.same(discarded, [reason], name)
    t.equal(filesIn(directory, 'entries').length, 1, `${name}: the body was removed`)
    t.equal(filesIn(directory, 'metadata').length, 1, `${name}: the metadata was removed`)
    t.same(openFilesUnder(directory), [], name)
  }
})

t.test('metadata is removed that has no body, whatever its name', async (t) => {
  const directory = tempDir(t)
  const path = await put(directory, 'good', 'good')
  for (const name of ['x.meta', `${path}.meta.meta`, '.meta']) {
    writeFileSync(name.startsWith('/') ? name : join(directory, 'instance-0', 'entries', name), 'x')
  }
  const { found, discarded } = await scan(directory)
  t.same([found.length, discarded], [1, ['temp', 'temp', 'temp']])
  t.equal(filesIn(directory, 'metadata').length, 1)
})

t.test('of two entries with exchanged metadata, none has the length of its own', async (t) => {
  const directory = tempDir(t)
  const [one, other] = [await put(directory, 'one', 'one'), await put(directory, 'other', 'other')]
  renameSync(`${one}.meta`, `${one}.away`)
  renameSync(`${other}.meta`, `${one}.meta`)
  renameSync(`${one}.away`, `${other}.meta`)
  const { found, discarded } = await scan(directory)
  t.same([found, discarded.sort()], [[], ['corrupt', 'truncated']])
  t.same([filesIn(directory, 'entries'), filesIn(directory, 'metadata')], [[], []])
})

t.test('what cannot be removed now stays, body or metadata, and goes at the next scan', async (t) => {
  for (const stays of ['body', 'metadata']) {
    const directory = tempDir(t)
    const path = await put(directory, 'bad', 'hello')
    truncateSync(path, 1)
    const disk = await breakFs(t)
    let removals = 0
    disk.decide = (what) => {
      if (what !== 'rm') return undefined
      removals++
      return (removals === 1) === (stays === 'body') ? systemError('EROFS') : undefined
    }
    const failures: string[] = []
    const discarded: DiscardReason[] = []
    const store = storeIn(directory, {
      found: () => t.fail('it is damaged'),
      discarded: (reason) => discarded.push(reason),
      failed: (operation) => failures.push(operation),
    })
    await store.open()
    await store.scan.run()
    t.same([failures, discarded], [['remove'], []], stays)
    t.same([existsSync(path), existsSync(`${path}.meta`)], [stays === 'body', true], 'the body goes first')
    disk.decide = () => undefined
    t.same((await scan(directory)).discarded, [stays === 'body' ? 'truncated' : 'temp'])
    t.same([existsSync(path), existsSync(`${path}.meta`)], [false, false])
  }
})

t.test('what a crash left in temp/ is removed', async (t) => {
  const directory = tempDir(t)
  await put(directory, 'good', 'good')
  const open = await storeIn(directory).create()
  mkdirSync(join(directory, 'instance-0', 'temp', 'folder', 'folder'), { recursive: true })
  const { found, discarded } = await scan(directory)
  t.same([found.length, discarded], [1, ['temp', 'temp']])
  t.same(filesIn(directory, 'temp'), [])
  open.close()
})

t.test('a removed directory is created again', async (t) => {
  const directory = join(tempDir(t), 'cache')
  const store = storeIn(directory)
  await store.open()
  rmSync(directory, { recursive: true })
  const disk = await store.create()
  await disk.commit(store.committedPath('key'), 0)
  t.equal(filesIn(directory, 'entries').length, 1)
  disk.close()
})

t.test('a committed path is new each time, and contains no part of the key', async (t) => {
  const store = new Store('/cache', ignored)
  const key = '../../etc/passwd\0'
  const names = [store.committedPath(key), store.committedPath(key)]
  t.not(names[0], names[1])
  for (const name of names) t.match(name, /^\/cache\/entries\/[0-9a-f]{64}\.[0-9a-f-]{36}$/)
})
