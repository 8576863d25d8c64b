import t from 'tap'
import { EventEmitter, once } from 'node:events'
import type { handleServerStreamingCall } from '@grpc/grpc-js'
import { refService, type GrpcRefServiceOptions } from '../../../src/grpc/services/ref-service.js'
import { encodeRefs, type RefsMessage } from '../../../src/grpc/proto/refs-message.js'
import { messageSize } from '../../../src/grpc/transport/sender.js'
import { StallDetector } from '../../../src/limits/connection/stall-detector.js'
import { createLog } from '../../../src/telemetry/log.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { answerTo, everything, manyRefs, queries, sharedListing } from '../../support/listings.js'
import { turns } from '../../support/producers.js'

/** A call whose client takes so many messages and then none. */
class StoppedCall extends EventEmitter {
  readonly messages: RefsMessage[] = []
  readonly request: object
  #left: number

  constructor(request: object, taken: number) {
    super()
    this.request = request
    this.#left = taken
  }

  getPath(): string {
    return '/refstream.v1.RefService/ListRefs'
  }

  getDeadline(): number {
    return Infinity
  }

  write(message: RefsMessage, written: () => void): void {
    this.messages.push(message)
    if (this.#left-- > 0) setImmediate(written)
    else this.emit('stopped')
  }

  end(): void {
    this.emit('ended')
  }
}

t.test('a client that stops reading holds one message, for any query', async (t) => {
  const answer = answerTo(manyRefs(10_000), everything)
  for (const whole of [true, false]) {
    const listing = await sharedListing(answer, whole)
    const { ListRefs } = refService({
      ...{ origin: { listRefs: async () => ({ listing, reuse: 'hit' }) }, metrics: new Metrics() },
      ...{ authorize: async () => ({}), clientOf: () => '', gate: { admit: async () => () => {} } },
      ...{
        responseStalls: new StallDetector({ idleMs: 0, minRate: 0, windowMs: 1000 }),
        log: createLog('silent'),
      },
    } as unknown as GrpcRefServiceOptions)
    for (const query of queries) {
      for (const taken of [0, 3]) {
        const prefixes = query.prefixes.map((prefix) => Buffer.from(prefix))
        const call = new StoppedCall({ ...query, prefixes, repository: 'r.git' }, taken)
        const over = Promise.race([once(call, 'stopped'), once(call, 'ended')])
        const handle = ListRefs as handleServerStreamingCall<unknown, unknown>
        handle(call as never)
        await over
        await turns()
        const what = `${JSON.stringify(query)} after ${taken} messages`
        if (call.messages.length > taken + 1) t.fail(`${call.messages.length} messages: ${what}`)
        for (const message of call.messages) {
          if (encodeRefs(message).length > messageSize) t.fail(`${encodeRefs(message).length} bytes: ${what}`)
        }
        t.same(prefixes, [], 'what it asked for is not kept as it came')
        call.emit('cancelled')
      }
    }
  }
})
