import t from 'tap'
import { EventEmitter } from 'node:events'
import { topicOf } from '../../../src/assembly/workers/topics.js'

t.test('conversations on one channel do not mix', async (t) => {
  const sent: unknown[] = []
  const end = Object.assign(new EventEmitter(), {
    connected: true,
    send: (message: unknown, _handle: undefined, _options: undefined, done: () => void) => {
      sent.push(message)
      done()
      return true
    },
  })
  const [control, fleet] = [topicOf(end, 'control'), topicOf(end, 'fleet')]
  const heard: unknown[] = []
  const stop = control.onMessage((message) => heard.push(['control', message]))
  fleet.onMessage((message) => heard.push(['fleet', message]))
  t.equal(control.send('a'), true)
  await new Promise<void>((resolve) => void fleet.send('b', resolve))
  for (const message of sent) end.emit('message', message)
  t.same(heard, [
    ['control', 'a'],
    ['fleet', 'b'],
  ])
  stop()
  end.emit('message', sent[0])
  t.equal(heard.length, 2)

  let closed = 0
  control.onClose(() => closed++)
  fleet.onClose(() => closed++)()
  end.connected = false
  end.emit('disconnect')
  t.equal(closed, 1)
  await new Promise<void>((resolve) => fleet.onClose(resolve))
  await new Promise<void>((resolve) => t.equal(fleet.send('c', resolve), false))
  t.equal(sent.length, 2)
})
