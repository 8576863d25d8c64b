import { connect, createServer, type AddressInfo } from 'node:net'
import t from 'tap'
import { afterReading } from '../../../../src/fleet/peers/client/after-reading.js'
import { systemClock } from '../../../../src/limits/clock.js'
import { FakeClock } from '../../../support/fake-clock.js'
import { turns } from '../../../support/producers.js'

t.test('what came while this process was busy is read first', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  const order: string[] = []
  const both = new Promise<void>((resolve) => {
    const note = (what: string): void => {
      if (order.push(what) === 2) resolve()
    }
    socket.once('data', () => note('read'))
    server.once('connection', (other) => {
      t.teardown(() => other.destroy())
      other.write('bytes', () => {
        afterReading(systemClock, 10, () => note('called'))
        const until = performance.now() + 30
        while (performance.now() < until);
      })
    })
  })
  await both
  t.strictSame(order, ['read', 'called'])
})

t.test('a call that is cancelled does not come, although its time is over', async (t) => {
  const clock = new FakeClock()
  let calls = 0
  afterReading(clock, 10, () => calls++)
  const cancel = afterReading(clock, 10, () => calls++)
  clock.advance(10)
  t.equal(calls, 0)
  cancel()
  await turns()
  t.equal(calls, 1)
})
