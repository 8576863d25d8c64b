import t from 'tap'
import { PassThrough, Readable } from 'node:stream'
import { nextChunk } from '../../../src/git/process/next-chunk.js'

const listeners = (stream: Readable): number =>
  ['readable', 'end', 'close', 'error'].reduce((count, event) => count + stream.listenerCount(event), 0)

t.test('chunks come one by one, and no listener is left', async (t) => {
  const stream = new PassThrough()
  const before = listeners(stream)
  const pending = nextChunk(stream)
  stream.write('one')
  t.same(await pending, Buffer.from('one'))
  t.equal(listeners(stream), before)
  stream.end('two')
  t.same(await nextChunk(stream), Buffer.from('two'))
  t.equal(await nextChunk(stream), null)
  t.equal(await nextChunk(stream), null, 'also after the end')
})

t.test('a part that was put back comes again', async (t) => {
  const stream = new PassThrough()
  stream.write('head and body')
  const chunk = await nextChunk(stream)
  stream.unshift(chunk!.subarray(5))
  t.same(await nextChunk(stream), Buffer.from('and body'))
})

t.test('a stream that is destroyed ends, and its error does not end the program', async (t) => {
  for (const error of [undefined, new Error('reset')]) {
    const stream = new PassThrough()
    const pending = nextChunk(stream)
    stream.destroy(error)
    t.equal(await pending, null)
  }
})
