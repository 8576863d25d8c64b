import t from 'tap'
import { PassedBytes } from '../../../src/fleet/fills/passed-bytes.js'
import { sha256 } from '../../support/sha256.js'

async function* chunks(...texts: (string | Error)[]): AsyncGenerator<Buffer> {
  for (const text of texts) {
    if (text instanceof Error) throw text
    yield Buffer.from(text)
  }
}

async function read(from: AsyncIterable<Buffer>): Promise<{ text: string; error?: unknown }> {
  const read: Buffer[] = []
  try {
    for await (const chunk of from) read.push(chunk)
    return { text: String(Buffer.concat(read)) }
  } catch (error) {
    return { text: String(Buffer.concat(read)), error }
  }
}

void t.test('another stream goes on where the last one has broken, more than once', async (t) => {
  const passed = new PassedBytes(true)
  t.match(await read(passed.pass(chunks('ab', 'c', new Error('lost')))), { text: 'abc', error: /lost/ })
  t.equal(passed.length, 3)
  t.match(await read(passed.pass(chunks('a', 'bcd', new Error('lost')))), { text: 'd', error: /lost/ })
  t.equal(passed.sha256, sha256('abcd'))
  t.same(await read(passed.rest(chunks('abcdef'))), { text: 'ef' })
})

void t.test('one that begins with other bytes, or with fewer, fails without a byte', async (t) => {
  const passed = new PassedBytes(true)
  await read(passed.pass(chunks('abc', new Error('lost'))))
  for (const other of [['abX', 'def'], ['ab'], []])
    t.match(await read(passed.rest(chunks(...other))), { text: '', error: { name: 'FillError' } })
  t.equal(passed.length, 3)
})
