import t from 'tap'
import fc from 'fast-check'
import type { ServiceDefinition } from '@grpc/grpc-js'
import type { Ref } from '../../../src/git/protocol/ref-line.js'
import { encodeRefs, RefsWriter } from '../../../src/grpc/proto/refs-message.js'
import { definitions } from '../../support/grpc-client.js'

const { ListRefs } = definitions['refstream.v1.RefService'] as ServiceDefinition

const length = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(127, 128, 16_383, 16_384, 65_000))
const bytes = length.map((size) => Buffer.alloc(size, 'refs/heads/\xff', 'latin1'))
const objectId = fc.constantFrom('1'.repeat(40), '2'.repeat(64), undefined)
const ref: fc.Arbitrary<Ref> = fc.record({
  name: bytes,
  objectId,
  symrefTarget: fc.option(bytes, { nil: undefined }),
  peeled: objectId,
})

const decode = (message: Buffer): object[] =>
  (ListRefs!.responseDeserialize(message) as { refs: object[] }).refs

t.test('messages are encoded as protobuf’s own library does, and are as long as allowed', async (t) => {
  fc.assert(
    fc.property(
      fc.array(ref, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 100_000 }),
      (refs, most) => {
        const writer = new RefsWriter({ messageSize: most })
        const messages: Buffer[] = []
        for (const one of refs) {
          if (writer.add(one)) continue
          messages.push(encodeRefs(writer.take()))
          if (!writer.add(one)) return false
        }
        messages.push(encodeRefs(writer.take()))
        const alone = (message: Buffer): boolean => decode(message).length === 1
        const whole = ListRefs!.responseSerialize({ refs: refs.map((one) => ({ ...one })) })
        return (
          messages.every((message) => message.length <= most || alone(message)) &&
          Buffer.concat(messages).equals(whole)
        )
      },
    ),
  )
  t.pass()
})
