import t from 'tap'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'
import type { UpstreamResponse } from '../../../src/origin/upstream/client/upstream-client.js'
import { smartAnswer } from '../../../src/origin/upstream/smart-answer.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../../../src/origin/upstream-errors.js'

const type = 'application/x-git-upload-pack-result'
const refs = Buffer.concat([pktLine('a refs/heads/one\n'), pktLine('b refs/heads/two\n'), flushPacket])
const error = pktLine('ERR access denied, and why\n')

/** A response with this body, in pieces. */
function responseOf(body: Buffer, coding = 'identity', size = 5): UpstreamResponse {
  const pieces = Array.from({ length: Math.ceil(body.length / size) }, (_, index) =>
    body.subarray(index * size, (index + 1) * size),
  )
  const headers = ['Content-Type', type, 'Content-Encoding', coding]
  return {
    ...{ status: 200, statusText: 'OK', headers, redirectedTo: undefined },
    values: (name) => (name === 'content-type' ? [type] : name === 'content-encoding' ? [coding] : []),
    body: Readable.from(pieces),
  }
}

async function read(response: UpstreamResponse): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of await smartAnswer(response)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

t.test('an answer ends in a flush packet, compressed or not', async (t) => {
  t.same(await read(responseOf(refs)), refs)
  t.same(await read(responseOf(gzipSync(refs), 'gzip')), refs)
})

t.test('what is cut short, in itself or in its coding, is not an answer', async (t) => {
  for (let length = 0; length < refs.length; length++)
    await t.rejects(read(responseOf(refs.subarray(0, length))), UpstreamUnavailable, `${length} bytes`)
  const zipped = gzipSync(refs)
  for (let length = 1; length < zipped.length; length++)
    await t.rejects(read(responseOf(zipped.subarray(0, length), 'gzip')), UpstreamUnavailable)
})

t.test(
  'what is not packets, or not in its coding, is the upstream’s fault, and its connection is given up',
  async (t) => {
    const spoiled: [Buffer, string, RegExp][] = [
      [Buffer.from('<html>hello</html>'), 'identity', /cannot be read: not a pkt-line length/],
      [Buffer.concat([refs.subarray(0, 30), Buffer.from('garbage!')]), 'identity', /cannot be read/],
      [Buffer.from('not compressed at all'), 'gzip', /cannot be read: incorrect header check/],
      [refs, 'br', /in a coding that was not asked for: br/],
    ]
    for (const [body, coding, message] of spoiled) {
      const response = responseOf(Buffer.concat([body, Buffer.alloc(100)]), coding)
      await t.rejects(read(response), { name: 'UpstreamUnavailable', message })
      t.ok(response.body.destroyed)
    }
  },
)

t.test('an error message of Git is passed on whole, however it comes', async (t) => {
  for (const size of [1, 5, 1000]) {
    const refusal = await read(responseOf(error, 'identity', size)).catch((error: unknown) => error)
    t.type(refusal, UpstreamRefusal)
    t.match(refusal, { status: 200, headers: ['Content-Type', type], body: error })
  }
  for (let length = 8; length < error.length; length++)
    await t.rejects(read(responseOf(error.subarray(0, length))), UpstreamUnavailable, 'and not in part')
})
