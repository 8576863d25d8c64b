import t from 'tap'
import fc from 'fast-check'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { RequestBodies } from '../../src/admin/bodies.js'
import type { BodyCheck } from '../../src/admin/endpoint.js'
import { eventually } from '../support/eventually.js'

/** A request whose body the test sends. */
function request(headers: Record<string, string> = {}) {
  const message = new IncomingMessage(new Socket())
  message._read = () => {}
  Object.assign(message.headers, headers)
  message.on('error', () => {})
  return {
    message,
    send: (bytes: Buffer | string) => message.push(bytes),
    end: () => {
      message.complete = true
      message.push(null)
    },
  }
}

const outcome = (body: Promise<Buffer>): Promise<string> =>
  body.then(
    (bytes) => bytes.toString('latin1'),
    (error: unknown) => `${(error as { status: number }).status}`,
  )

t.test('a body is read whole, and checked while it is received', async (t) => {
  const bodies = new RequestBodies(1000)
  const seen: string[] = []
  const check: BodyCheck = {
    take: (piece) => seen.push(piece.toString()),
    end: () => seen.push('end'),
  }
  const one = request()
  const read = outcome(bodies.read(one.message, 100, check))
  one.send('ab')
  await eventually('it is read', () => seen.length === 1)
  one.send('c')
  one.end()
  t.equal(await read, 'abc')
  t.same(seen, ['ab', 'c', 'end'])
  t.equal(bodies.size, 0)
})

t.test('bodies that are too long, incomplete, or have a false length', async (t) => {
  const bodies = new RequestBodies(1000)
  const declared = request({ 'content-length': '101' })
  t.equal(await outcome(bodies.read(declared.message, 100)), '413', 'before any of it comes')
  const long = request()
  const reading = outcome(bodies.read(long.message, 100))
  long.send(Buffer.alloc(101))
  t.equal(await reading, '413')
  const broken = request()
  const half = outcome(bodies.read(broken.message, 100))
  broken.send('x')
  broken.message.destroy()
  t.equal(await half, '400')
  t.equal(bodies.size, 0)
})

t.test('when memory runs out, the largest body is dropped and small ones are read', async (t) => {
  let refused = 0
  const bodies = new RequestBodies(1000, () => refused++)
  const large = [500, 400].map((length) => {
    const each = request()
    const read = outcome(bodies.read(each.message, 600))
    each.send(Buffer.alloc(length, 'l'))
    return { ...each, read }
  })
  await eventually('they are kept', () => bodies.size === 900)
  const small = request()
  const read = outcome(bodies.read(small.message, 600))
  small.send(Buffer.alloc(150, 's'))
  t.equal(await large[0]!.read, '503')
  small.end()
  t.equal(await read, 's'.repeat(150))
  large[1]!.end()
  t.equal(await large[1]!.read, 'l'.repeat(400))
  const alone = request()
  const tooMuch = outcome(bodies.read(alone.message, 2000))
  alone.send(Buffer.alloc(1001))
  t.equal(await tooMuch, '503', 'also if there is no other')
  t.equal(refused, 2)
  t.equal(bodies.size, 0)
})

t.test(
  'whatever comes in whatever order: within the limit, and each body as it was sent or refused',
  async () => {
    const step = fc.record({ of: fc.nat({ max: 5 }), length: fc.nat({ max: 60 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const bodies = new RequestBodies(200)
        const sent = Array.from({ length: 6 }, () => '')
        const all = sent.map(() => {
          const each = request()
          return { ...each, read: outcome(bodies.read(each.message, 150)) }
        })
        let within = true
        for (const { of, length } of steps) {
          const piece = String(of).repeat(length)
          sent[of] = `${sent[of]}${piece}`
          all[of]!.send(piece)
          await new Promise(setImmediate)
          within &&= bodies.size <= 200
        }
        for (const each of all) each.end()
        const got = await Promise.all(all.map(({ read }) => read))
        const asSent = got.every((body, index) => body === sent[index] || body === '413' || body === '503')
        return within && asSent && bodies.size === 0
      }),
    )
  },
)
