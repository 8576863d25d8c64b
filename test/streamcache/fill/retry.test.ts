import t from 'tap'
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import type { Producer } from '../../../src/streamcache/fill/producer.js'
import { withRetries, type RetryOptions } from '../../../src/streamcache/fill/retry.js'

/** A producer that makes one text per attempt, in pieces of that many bytes; `!` is a failure. */
function attempts(texts: readonly string[], size = 3): { producer: Producer; count: () => number } {
  let count = 0
  return {
    count: () => count,
    async *producer() {
      const text = texts[Math.min(count++, texts.length - 1)] ?? ''
      const said = Buffer.from(text.replace('!', ''))
      for (let at = 0; at < said.length; at += size) yield said.subarray(at, at + size)
      if (text.endsWith('!')) throw new Error('oops')
    },
  }
}

/** Returns what a reader gets, and the error at its end if there is one. */
async function read(producer: Producer, options: RetryOptions): Promise<[text: string, error?: string]> {
  const chunks: Buffer[] = []
  const produced = () => {
    const bytes = Buffer.concat(chunks)
    return { length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  }
  try {
    const { signal } = new AbortController()
    for await (const chunk of withRetries(producer, signal, produced, options)) chunks.push(chunk)
  } catch (error) {
    return [Buffer.concat(chunks).toString(), (error as Error).message]
  }
  return [Buffer.concat(chunks).toString()]
}

t.test('a retry goes on where the last attempt failed', async (t) => {
  const errors: unknown[] = []
  const { producer, count } = attempts(['hello!', '!', 'hello, world'])
  t.same(await read(producer, { fillRetries: 2, retried: (error) => errors.push(error) }), ['hello, world'])
  t.equal(count(), 3)
  t.match(errors, [{ message: 'oops' }, { message: 'oops' }])
})

t.test('after the last attempt the error is thrown', async (t) => {
  const { producer, count } = attempts(['he!', 'hello!'])
  t.same(await read(producer, { fillRetries: 2 }), ['hello', 'oops'])
  t.equal(count(), 3)
  t.same(await read(attempts(['he!', 'hello']).producer, {}), ['he', 'oops'], 'no retries unless asked for')
})

t.test('a retry that produces other bytes fails, and is the last', async (t) => {
  const { producer, count } = attempts(['hello!', 'help me, world'])
  t.same(await read(producer, { fillRetries: 5 }), ['hello', 'a retry produced other bytes'])
  t.equal(count(), 2)
  t.same(await read(attempts(['hello!', 'hell']).producer, { fillRetries: 5 }), [
    'hello',
    'a retry produced fewer bytes',
  ])
})

t.test('some errors are final', async (t) => {
  const { producer, count } = attempts(['!', 'hello'])
  t.same(await read(producer, { fillRetries: 5, retriable: () => false }), ['', 'oops'])
  t.equal(count(), 1)
})

t.test('after an abort there is no retry', async (t) => {
  const { producer, count } = attempts(['!'])
  const stop = new AbortController()
  const produced = () => ({ length: 0, sha256: '' })
  const options = { fillRetries: 5, retried: () => stop.abort(new Error('stop')) }
  await t.rejects(withRetries(producer, stop.signal, produced, options).next())
  t.equal(count(), 1)
})

t.test(
  'a stream that succeeds is the output of one attempt; one that fails is the beginning of such',
  async () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 6 })
    const attempt = fc.tuple(text, fc.boolean()).map(([said, fails]) => said + (fails ? '!' : ''))
    await fc.assert(
      fc.asyncProperty(
        fc.array(attempt, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 4 }),
        async (texts, size) => {
          const { producer, count } = attempts(texts, size)
          const [got, error] = await read(producer, { fillRetries: texts.length - 1 })
          if (error === undefined) return got === texts[count() - 1]
          return texts.some((said) => said.startsWith(got))
        },
      ),
      { numRuns: 60 },
    )
  },
)
