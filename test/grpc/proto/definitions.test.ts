import t from 'tap'
import { toDuration, toMs, toTimestamp } from '../../../src/grpc/proto/definitions.js'

t.test('times are converted to and from those of protobuf', async (t) => {
  t.same(toDuration(1500), { seconds: 1, nanos: 500_000_000 })
  t.same(toDuration(999.9999999), { seconds: 0, nanos: 1_000_000_000 - 1 })
  t.equal(toMs({ seconds: 2, nanos: 1_000_000 }), 2001)
  t.same(toTimestamp(new Date('2020-01-01T00:00:00.25Z')), { seconds: 1_577_836_800, nanos: 250_000_000 })
})
