import t, { type Test } from 'tap'
import { gunzipSync } from 'node:zlib'
import * as zlib from 'node:zlib'
import { CompressedForms, formOfEntry, type CompressedForm } from '../../src/service/compressed-forms.js'
import { Rope, type Entry } from '../../src/streamcache/index.js'
import { eventually } from '../support/eventually.js'
import { collect, ManualProducer, producerOf } from '../support/producers.js'
import { sha256 } from '../support/sha256.js'
import { openCache } from '../support/stream-cache.js'

const hasZstd = 'createZstdCompress' in zlib
const text = 'abcdefgh'.repeat(1000)

/** A whole entry with these bytes. */
async function entryOf(t: Test, bytes: string): Promise<Entry> {
  const { cache } = await openCache(t)
  const { entry } = cache.fill('key', 'token', producerOf(bytes), async () => true)
  await collect(entry.follow())
  return entry
}

/** The form, once it has been made. */
async function made(forms: CompressedForms, entry: Entry, header: string): Promise<CompressedForm> {
  let form: CompressedForm | undefined
  await eventually('the form is made', () => (form = forms.of(entry, header)) !== undefined)
  return form as CompressedForm
}

const unlimited = { minBytes: 100, maxBytes: 1 << 20 }

t.test('a form is made in the background, once, and has the same bytes', async (t) => {
  const entry = await entryOf(t, text)
  const forms = new CompressedForms(unlimited)
  t.equal(forms.of(entry, 'gzip'), undefined, 'the first request is not delayed')
  const form = await made(forms, entry, 'gzip')
  t.equal(form.coding, 'gzip')
  t.equal(gunzipSync(Buffer.concat(form.chunks)).toString(), text)
  t.equal(form.length, Buffer.concat(form.chunks).length)
  t.ok(form.length < text.length / 10)
  t.equal(forms.of(entry, 'gzip'), form)
})

t.test('a client gets the best coding that it accepts', async (t) => {
  const entry = await entryOf(t, text)
  const forms = new CompressedForms(unlimited)
  for (const header of ['gzip', 'deflate, gzip', 'GZIP;q=0.1', 'zstd;q=0, gzip', 'br, * ; q=0.5, zstd;q=0']) {
    t.equal((await made(forms, entry, header)).coding, 'gzip', header)
  }
  t.equal((await made(forms, entry, 'gzip, zstd')).coding, hasZstd ? 'zstd' : 'gzip')
  for (const header of [undefined, '', 'identity', 'deflate, br', 'gzip;q=0', '*;q=0', 'gzip;q=x']) {
    t.equal(forms.of(entry, header), undefined, header ?? 'none')
    t.equal(forms.varies(text.length, header), false)
  }
})

t.test('an answer varies if it is long enough for a coding that the client accepts', async (t) => {
  const forms = new CompressedForms({ minBytes: 100, maxBytes: 1000 })
  t.equal(forms.varies(100, 'gzip'), true)
  t.equal(forms.varies(99, 'gzip'), false)
  t.equal(new CompressedForms({ minBytes: undefined, maxBytes: 1000 }).varies(1 << 20, 'gzip'), false)
})

t.test('an entry that grows, or is too short, has no form', async (t) => {
  const { cache } = await openCache(t)
  const producer = new ManualProducer().push(Buffer.from(text))
  const { entry } = cache.fill('key', 'token', producer.run, async () => true)
  const forms = new CompressedForms(unlimited)
  const follower = entry.follow()
  await follower.read()
  follower.close()
  t.equal(forms.of(entry, 'gzip'), undefined)
  producer.end()
  await entry.end()
  const long = new CompressedForms({ minBytes: text.length + 1, maxBytes: 1 << 20 })
  t.equal(long.of(entry, 'gzip'), undefined)
})

t.test('forms that do not fit are not kept, and the least recently used goes first', async (t) => {
  const first = await entryOf(t, text)
  const second = await entryOf(t, text + text)
  const { length } = await made(new CompressedForms(unlimited), second, 'gzip')
  const forms = new CompressedForms({ minBytes: 100, maxBytes: length + 10 })
  const form = await made(forms, first, 'gzip')
  t.equal(forms.of(first, 'gzip'), form)
  await made(forms, second, 'gzip')
  t.equal(forms.of(first, 'gzip'), undefined)
})

const sourceOf = (bytes: string) => {
  const source = {
    ...{ key: sha256(Buffer.from(bytes)), size: bytes.length, reads: 0 },
    read: async function* () {
      source.reads++
      yield Buffer.from(bytes)
    },
  }
  return source
}

t.test('a request that can wait gets the form of any bytes, which is made once', async (t) => {
  const forms = new CompressedForms(unlimited)
  const source = sourceOf(text)
  const [first, second] = await Promise.all([forms.made(source, 'gzip'), forms.made(source, 'gzip')])
  t.equal(gunzipSync(Buffer.concat(first!.chunks)).toString(), text)
  t.equal(second, first)
  t.equal(await forms.made(sourceOf(text), 'gzip'), first, 'the same digest has the same form')
  t.equal(source.reads, 1)
  t.equal(await forms.made(source, 'identity'), undefined)
  t.equal(await forms.made(sourceOf('short'), 'gzip'), undefined)
  t.equal(await new CompressedForms({ minBytes: undefined, maxBytes: 1 }).made(source, 'gzip'), undefined)
})

t.test('forms are made one after another, those of entries too', async (t) => {
  const forms = new CompressedForms(unlimited)
  const entry = await entryOf(t, text)
  const all = [sourceOf(text + 'a'), sourceOf(text + 'b')].map((source) => forms.made(source, 'gzip'))
  t.equal(forms.of(entry, 'gzip'), undefined)
  t.ok((await Promise.all(all)).every((form) => form !== undefined))
  const form = await forms.made(formOfEntry(entry), 'gzip')
  t.ok(form)
  t.equal(forms.of(entry, 'gzip'), form)
})

t.test('a form that does not fit, or whose bytes cannot be read, is none', async (t) => {
  const forms = new CompressedForms({ minBytes: 100, maxBytes: 10 })
  const source = sourceOf(text)
  t.equal(await forms.made(source, 'gzip'), undefined)
  t.equal(await forms.made(source, 'gzip'), undefined)
  t.equal(source.reads, 1)
  const broken = {
    ...{ key: 'x', size: 1000 },
    // eslint-disable-next-line require-yield
    read: async function* () {
      throw new Error('broken')
    },
  }
  t.equal(await new CompressedForms(unlimited).made(broken, 'gzip'), undefined)
})

/** A whole entry whose producer has yielded a Revision. */
const entryWith = (chunks: readonly Buffer[], key = 'key') => {
  const rope = new Rope(chunks)
  const follow = async function* () {
    yield* chunks
  }
  return { key, rope, size: rope.length, follow } as unknown as Entry
}

const chunksOf = (...texts: string[]): Buffer[] => texts.map((each) => Buffer.from(each.repeat(1000)))

t.test('the form of an entry with a rope shares pieces with that of the version before it', async (t) => {
  const forms = new CompressedForms(unlimited)
  const chunks = chunksOf('one', 'two', 'three')
  const entry = entryWith(chunks)
  t.equal(forms.of(entry, 'gzip'), undefined, 'the first request is not delayed')
  const form = await made(forms, entry, 'gzip')
  t.equal(gunzipSync(Buffer.concat(form.chunks)).toString(), chunks.join(''))
  t.equal(form.length, Buffer.concat(form.chunks).length)
  t.equal(forms.of(entry, 'gzip'), form)
  const changed = chunks.with(1, Buffer.from('four'))
  const second = await forms.made(formOfEntry(entryWith(changed)), 'gzip')
  t.equal(gunzipSync(Buffer.concat(second!.chunks)).toString(), changed.join(''))
  t.equal(
    second!.chunks.filter((chunk) => form.chunks.includes(chunk)).length,
    3,
    'the header and two pieces',
  )
})

t.test('only the last version of a key has forms', async (t) => {
  const forms = new CompressedForms(unlimited)
  const [first, second] = [entryWith(chunksOf('a', 'b')), entryWith(chunksOf('a', 'c'))]
  const other = entryWith(chunksOf('a', 'b'), 'other key')
  for (const entry of [first, other, second]) await forms.made(formOfEntry(entry), 'gzip')
  t.ok(forms.of(second, 'gzip'))
  t.ok(forms.of(other, 'gzip'))
  t.equal(forms.of(first, 'gzip'), undefined)
})

t.test('an entry with a rope has zstd only for clients that do not accept gzip', async (t) => {
  const forms = new CompressedForms(unlimited)
  const chunks = chunksOf('one', 'two')
  const source = formOfEntry(entryWith(chunks))
  t.equal((await forms.made(source, 'zstd, gzip'))?.coding, 'gzip')
  const form = await forms.made(source, 'zstd')
  t.equal(form?.coding, hasZstd ? 'zstd' : undefined)
  t.equal((await forms.made(source, 'zstd, gzip'))?.coding, 'gzip', 'forms of one entry are kept together')
})
