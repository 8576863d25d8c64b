import t, { type Test } from 'tap'
import { gunzipSync } from 'node:zlib'
import { sendAdvertisement } from '../../src/http/advertisement.js'
import { tagOf } from '../../src/http/entity-tag.js'
import type { Exchange } from '../../src/http/exchange.js'
import { AnswerVersions } from '../../src/service/answer-versions.js'
import { CompressedForms } from '../../src/service/compressed-forms.js'
import type { Entry } from '../../src/streamcache/index.js'
import { eventually } from '../support/eventually.js'
import { ManualProducer, turns } from '../support/producers.js'
import { openCache } from '../support/stream-cache.js'

const text = 'abcdefgh'.repeat(1000)

/** An entry that grows as the test says. */
async function openEntry(t: Test): Promise<{ source: ManualProducer; entry: Entry }> {
  const { cache } = await openCache(t)
  const source = new ManualProducer()
  const { entry } = cache.fill('key', 'token', source.run, async () => true)
  return { source, entry }
}

async function wholeEntry(t: Test): Promise<Entry> {
  const { source, entry } = await openEntry(t)
  source.push(Buffer.from(text)).end()
  await entry.end()
  return entry
}

interface Asked {
  readonly isStale?: boolean
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly etag?: boolean
  readonly compressed?: CompressedForms
}

/** The tag of a whole entry whose digest is known. */
const entityTag = (entry: Entry, coding?: string): string => tagOf(entry.sha256!, coding)

const off = new CompressedForms({ minBytes: undefined, maxBytes: 1 })

/** Sends an entry. `sent`: what has gone out so far. */
function send(
  entry: Entry,
  { method = 'GET', headers = {}, etag = false, compressed = off, isStale = false }: Asked = {},
) {
  const sent = {
    status: 0,
    headers: new Map<string, string>(),
    body: [] as Buffer[],
    isEnded: false,
    saved: 0,
  }
  const exchange = {
    aborted: false,
    request: { method, headers },
    response: {
      writeHead(status: number, list: string[]) {
        sent.status = status
        for (let at = 0; at < list.length; at += 2) sent.headers.set(list[at]!, list[at + 1]!)
        return this
      },
      end: () => (sent.isEnded = true),
    },
    send: async (chunk: Buffer) => sent.body.push(Buffer.from(chunk)) > 0,
    end: (chunk: Buffer) => {
      sent.body.push(Buffer.from(chunk))
      sent.isEnded = true
    },
    countSaved: (_: string, bytes: number) => (sent.saved = bytes),
  } as unknown as Exchange
  const reading = { entry, follower: entry.follow(), reuse: 'hit', isStale, ageMs: 5000 } as const
  const versions = new AnswerVersions(1 << 24)
  const done = Promise.resolve(sendAdvertisement(exchange, reading, { compressed, etag, versions }))
  return { sent, done }
}

t.test('a whole entry has its length, and no tag that was not asked for', async (t) => {
  const { sent, done } = send(await wholeEntry(t))
  await done
  t.equal(sent.status, 200)
  t.equal(Buffer.concat(sent.body).toString(), text)
  t.equal(sent.headers.get('Content-Length'), String(text.length))
  t.equal(sent.headers.get('Content-Type'), 'application/x-git-upload-pack-advertisement')
  t.equal(sent.headers.has('ETag'), false)
  t.equal(sent.headers.has('Vary'), false)
  t.equal(sent.isEnded, true)
})

t.test('a growing entry is sent as it grows, without a length', async (t) => {
  const { source, entry } = await openEntry(t)
  const { sent, done } = send(entry, { etag: true })
  await turns()
  t.equal(sent.status, 0, 'no head before the first byte')
  source.push(Buffer.from('first'))
  await eventually('the first bytes are sent', () => sent.body.length > 0)
  t.equal(sent.headers.has('Content-Length'), false)
  t.equal(sent.headers.has('ETag'), false)
  source.push(Buffer.from(' second')).end()
  await done
  t.equal(Buffer.concat(sent.body).toString(), 'first second')
  t.equal(sent.isEnded, true)
})

t.test('a fill that fails before its first byte leaves the response to the error', async (t) => {
  const { source, entry } = await openEntry(t)
  const { sent, done } = send(entry)
  source.fail()
  await t.rejects(done, { name: 'FillError' })
  t.equal(sent.status, 0)
})

t.test('a condition that names the entry is answered by 304, also while it grows', async (t) => {
  const entry = await wholeEntry(t)
  const tag = entityTag(entry)
  const { sent, done } = send(entry, { headers: { 'if-none-match': tag } })
  await done
  t.equal(sent.status, 304)
  t.equal(sent.headers.get('ETag'), tag)
  t.same(sent.body, [])
  const growing = await openEntry(t)
  const second = send(growing.entry, { headers: { 'if-none-match': tag } })
  growing.source.push(Buffer.from(text))
  await turns()
  t.equal(second.sent.status, 0)
  growing.source.end()
  await second.done
  t.equal(second.sent.status, 304)
})

t.test('a condition that names another entry is answered by the entry with its tag', async (t) => {
  const entry = await wholeEntry(t)
  const { sent, done } = send(entry, { headers: { 'if-none-match': '"x"' } })
  await done
  t.equal(sent.status, 200)
  t.equal(sent.headers.get('ETag'), entityTag(entry))
})

t.test('a client that accepts a compressed form gets it once it has been made', async (t) => {
  const entry = await wholeEntry(t)
  const compressed = new CompressedForms({ minBytes: 100, maxBytes: 1 << 20 })
  const asked = { headers: { 'accept-encoding': 'gzip' }, compressed, etag: true }
  const plain = send(entry, asked)
  await plain.done
  t.equal(plain.sent.headers.get('Content-Encoding'), undefined)
  t.equal(plain.sent.headers.get('Vary'), 'Accept-Encoding')
  t.equal(plain.sent.headers.get('ETag'), entityTag(entry))
  await eventually('the form is made', () => compressed.of(entry, 'gzip') !== undefined)
  const { sent, done } = send(entry, asked)
  await done
  const body = Buffer.concat(sent.body)
  t.equal(gunzipSync(body).toString(), text)
  t.equal(sent.headers.get('Content-Encoding'), 'gzip')
  t.equal(sent.headers.get('Content-Length'), String(body.length))
  t.equal(sent.headers.get('Vary'), 'Accept-Encoding')
  t.equal(sent.headers.get('ETag'), entityTag(entry, 'gzip'))
  t.equal(sent.saved, text.length - body.length)
})

t.test('to a HEAD only the head is sent', async (t) => {
  const { sent, done } = send(await wholeEntry(t), { method: 'HEAD' })
  await done
  t.equal(sent.headers.get('Content-Length'), String(text.length))
  t.same(sent.body, [])
  t.equal(sent.isEnded, true)
})

t.test('an entry that is older than allowed says so, and no other does', async (t) => {
  const entry = await wholeEntry(t)
  for (const headers of [{}, { 'if-none-match': entityTag(entry) }]) {
    for (const isStale of [true, false]) {
      const { sent, done } = send(entry, { headers, isStale })
      await done
      t.equal(sent.headers.get('Age'), isStale ? '5' : undefined)
      t.equal(sent.headers.get('Warning'), isStale ? '110 refstream "Response is Stale"' : undefined)
    }
  }
})

t.test('a request with a condition waits for the compressed form', async (t) => {
  const entry = await wholeEntry(t)
  const compressed = new CompressedForms({ minBytes: 100, maxBytes: 1 << 20 })
  const asked = { headers: { 'accept-encoding': 'gzip', 'if-none-match': '"x"' }, compressed }
  const { sent, done } = send(entry, asked)
  await done
  t.equal(gunzipSync(Buffer.concat(sent.body)).toString(), text)
  t.equal(sent.headers.get('ETag'), entityTag(entry, 'gzip'))
})

t.test('the digest of an entry is asked for only by requests that need it, and waited for', async (t) => {
  const entry = await wholeEntry(t)
  const { sha256 } = entry
  let asked = 0
  const digest = async () => (asked++, sha256)
  const fake = new Proxy(entry, {
    get: (target, name) =>
      name === 'digest'
        ? digest
        : name === 'sha256'
          ? undefined
          : (Reflect.get(target, name, target) as unknown),
  })
  const plain = send(fake)
  await plain.done
  t.equal(plain.sent.status, 200)
  t.equal(asked, 0)
  for (const asking of [{ etag: true }, { headers: { 'if-none-match': '"x"' } }]) {
    const { sent, done } = send(fake, asking)
    await done
    t.equal(sent.headers.get('ETag'), tagOf(sha256!))
  }
  const { sent, done } = send(fake, { headers: { 'if-none-match': tagOf(sha256!, 'gzip') } })
  await done
  t.equal(sent.status, 304)
  t.equal(asked, 3)
})
