import t from 'tap'
import fc from 'fast-check'
import { flushPacket } from '../../../src/git/protocol/pkt-line.js'
import { parseRefs, type Ref } from '../../../src/git/protocol/ref-line.js'

/** A ref's name: any bytes but those that git-check-ref-format(1) forbids and that the parser depends on. */
const name = fc
  .uint8Array({ minLength: 1, maxLength: 20 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte <= 0x20 || byte === 0x7f ? 0x61 : byte))))
const id = fc.constantFrom('a'.repeat(40), '0123456789abcdef'.repeat(4))
const ref: fc.Arbitrary<Ref> = fc.record({
  name,
  objectId: fc.option(id, { nil: undefined }),
  symrefTarget: fc.option(name, { nil: undefined }),
  peeled: fc.option(id, { nil: undefined }),
})

/** Writes a line as ls-refs.c does. */
function write({ name, objectId, symrefTarget, peeled }: Ref): Buffer {
  const line = Buffer.concat([
    ...[Buffer.from(objectId ?? 'unborn'), Buffer.from(' '), name],
    ...(symrefTarget ? [Buffer.from(' symref-target:'), symrefTarget] : []),
    Buffer.from(`${peeled === undefined ? '' : ` peeled:${peeled}`}\n`),
  ])
  return Buffer.concat([Buffer.from((line.length + 4).toString(16).padStart(4, '0')), line])
}

t.test('refs are parsed as they were written, with any bytes in their names', async () => {
  fc.assert(
    fc.property(fc.array(ref), fc.boolean(), (refs, ended) => {
      const lines = Buffer.concat([...refs.map(write), ...(ended ? [flushPacket] : [])])
      const read = [...parseRefs(lines)]
      return (
        read.length === refs.length &&
        read.every((each, index) => {
          const other = refs[index]!
          const targets = [each, other].map(({ symrefTarget }) => symrefTarget?.toString('latin1'))
          return (
            each.name.equals(other.name) &&
            each.objectId === other.objectId &&
            each.peeled === other.peeled &&
            targets[0] === targets[1]
          )
        })
      )
    }),
  )
})
