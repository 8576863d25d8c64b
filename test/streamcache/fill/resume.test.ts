import t from 'tap'
import { resume } from '../../../src/streamcache/fill/resume.js'
import { sha256 } from '../../support/sha256.js'

async function* chunks(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text)
}

const produced = { length: 4, sha256: sha256('abcd') }

async function resumed(...texts: string[]): Promise<string[]> {
  const rest: string[] = []
  for await (const chunk of resume(chunks(...texts), produced)) rest.push(String(chunk))
  return rest
}

void t.test('only what follows is yielded, and empty chunks, however the run is cut', async (t) => {
  t.same(await resumed('abcdef'), ['ef'])
  t.same(await resumed('ab', '', 'cd', 'ef'), ['', 'ef'])
  t.same(await resumed('abc', 'def', 'g'), ['ef', 'g'])
  t.same(await resumed('abcd'), [])
})

void t.test('a run with other bytes, or with fewer, fails before anything is yielded', async (t) => {
  for (const texts of [['abcX', 'ef'], ['abcXef'], ['abc'], []])
    await t.rejects(resumed(...texts), { name: 'FillError', fault: 'producer' })
})
