import t from 'tap'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { encodeData } from '../../../src/grpc/proto/data-message.js'
import { definitions } from '../../support/grpc-client.js'

const { Advertise } = definitions['refstream.v1.RefService'] as ServiceDefinition

t.test('a message is encoded as protobuf’s own library does', async (t) => {
  for (const length of [1, 2, 127, 128, 16_383, 16_384, 65_536, 2_097_152]) {
    const data = Buffer.alloc(length, 'refs')
    const message = encodeData({ data })
    const framed = Buffer.alloc(5 + message.byteLength)
    message.copy(framed, 5)
    t.ok(framed.subarray(5).equals(Advertise!.responseSerialize({ data })), `${length} bytes`)
  }
})
