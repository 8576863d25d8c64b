import t from 'tap'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import { Exchange, writeMax, type Monitors } from '../../src/http/exchange.js'
import { sendRefs } from '../../src/http/ls-refs.js'
import { StallDetector } from '../../src/limits/connection/stall-detector.js'
import { WriteBudget } from '../../src/limits/connection/write-budget.js'
import type { SharedListing } from '../../src/origin/ref-listings.js'
import { AnswerVersions } from '../../src/service/answer-versions.js'
import { AnswerDigests } from '../../src/service/answer-digests.js'
import { CompressedForms } from '../../src/service/compressed-forms.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { carryExchanges } from '../support/connections.js'
import { answerTo, everything, manyRefs, queries, sharedListing } from '../support/listings.js'
import { pending, turns } from '../support/producers.js'

/** What a connection may hold besides: a head, the framing of chunks, and what Node takes before it says stop. */
const overhead = 20_000

/** A connection whose other end takes nothing after it has taken so many writes: then all that is handed over stays here. */
class Connection extends Duplex {
  taken = 0
  #writes: number

  constructor(writes: number) {
    super({ writableHighWaterMark: 16_384 })
    this.#writes = writes
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    if (this.#writes-- <= 0) {
      this.emit('stopped')
      return
    }
    this.taken += chunk.length
    callback()
  }

  setTimeout(): this {
    return this
  }
}

/** Bytes of a part that is not a view of memory which all clients share. */
const copyMax = 70_000

const refs = manyRefs(30_000)
const answer = answerTo(refs, everything)

t.test(
  'a client that stops reading holds one part, and of views as many as one write takes, for any query',
  async (t) => {
    for (const whole of [true, false]) {
      const listing = await sharedListing(answer, whole)
      const shared = new Set((await known(listing)).map(({ buffer }) => buffer))
      const handed: Buffer[] = []
      const server = carryExchanges(createServer())
      t.teardown(() => server.close())
      for (const query of queries) {
        for (const writes of [0, 5]) {
          handed.length = 0
          const asked = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>
          const connection = new Connection(writes)
          const stopped = once(connection, 'stopped')
          server.emit('connection', connection)
          connection.push('POST /r.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
          const [request, response] = await asked
          const exchange = new Exchange(request, response, monitors())
          const sending = sendRefs(
            exchange,
            { listing: counting(listing, handed), reuse: 'hit' },
            { ...query, objectFormat: 'sha1' },
            {
              digests: new AnswerDigests(),
              versions: new AnswerVersions(1 << 24),
              compressed: new CompressedForms({ minBytes: undefined, maxBytes: 1 }),
            },
          )
          await Promise.race([stopped, sending])
          await turns()
          const what = `${JSON.stringify(query)} after ${writes} writes${whole ? '' : ' of a listing that grows'}`
          const inFlight = Math.max(connection.writableLength, response.writableLength)
          if (inFlight > writeMax + overhead) t.fail(`${inFlight} bytes in flight: ${what}`)
          const last = handed.at(-1)!
          const most = shared.has(last.buffer) ? writeMax : copyMax
          if (last.length > most) t.fail(`a part of ${last.length} bytes: ${what}`)
          const handedBytes = handed.reduce((sum, { length }) => sum + length, 0)
          const ahead = query.peel && query.symrefs ? writeMax + last.length : last.length
          if (handedBytes > connection.taken + ahead + overhead) t.fail(`cut ahead of its client: ${what}`)
          connection.destroy()
          await sending
        }
      }
    }
    t.pass()
  },
)

/** Views of all that the listing has by now. */
async function known(listing: SharedListing): Promise<Buffer[]> {
  const parts = listing.cut(everything)
  const views: Buffer[] = []
  for (let next = parts.next(); !(await pending(next)); next = parts.next()) {
    const part = await next
    if (part.done === true) break
    views.push(part.value)
  }
  return views
}

/** The same listing, with a record of the parts that were cut. */
function counting(listing: SharedListing, handed: Buffer[]): SharedListing {
  const note = (part: Buffer): Buffer => {
    handed.push(part)
    return part
  }
  const noted = function* (parts: Iterable<Buffer>): Generator<Buffer> {
    for (const part of parts) yield note(part)
  }
  const recorder: Pick<SharedListing, 'cut' | 'cutNow'> = {
    cutNow: (query) => {
      const whole = listing.cutNow(query)
      return whole && { length: whole.length, parts: noted(whole.parts) }
    },
    cut: async function* (query) {
      for await (const part of listing.cut(query)) yield note(part)
    },
  }
  return recorder as SharedListing
}

function monitors(): Monitors {
  const watch = new StallDetector({ idleMs: 0, minRate: 0, windowMs: 1000 })
  const sending = new WriteBudget(1 << 30)
  return {
    metrics: new Metrics(),
    log: createLog('silent'),
    shed: () => {},
    responseStalls: watch,
    requestStalls: watch,
    writeBudget: sending,
  }
}
