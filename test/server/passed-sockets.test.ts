import t from 'tap'
import { takePassedSockets } from '../../src/server/passed-sockets.js'

const passed = (count: string, names?: string): NodeJS.ProcessEnv => ({
  LISTEN_PID: '7',
  LISTEN_FDS: count,
  ...(names === undefined ? {} : { LISTEN_FDNAMES: names }),
  PATH: '/bin',
})

t.test('sockets by name, in their order; the variables are taken', (t) => {
  const environment = passed('4', 'admin:listen:admin:grpc')
  t.same(takePassedSockets(environment, 7), { admin: [3, 5], listen: [4], grpc: [6] })
  t.same(environment, { PATH: '/bin' })
  t.end()
})

t.test('none: without the variables, or when they are for another process', (t) => {
  t.same(takePassedSockets({ PATH: '/bin' }, 7), {})
  const environment = passed('1', 'listen')
  t.same(takePassedSockets(environment, 8), {})
  t.same(environment, passed('1', 'listen'), 'they are left')
  t.same(takePassedSockets(passed('0', ''), 7), {})
  t.end()
})

t.test('what cannot be used is refused', (t) => {
  const message = (name: string) => ({
    name: 'ConfigError',
    message: `a socket that systemd has passed is named "${name}": FileDescriptorName= of its unit must be listen, admin, grpc`,
  })
  t.throws(() => takePassedSockets(passed('1', 'refstream.socket'), 7), message('refstream.socket'))
  t.throws(() => takePassedSockets(passed('1'), 7), message('unknown'))
  t.throws(() => takePassedSockets(passed('2', 'listen'), 7), message('unknown'))
  for (const count of ['-1', 'x', '1.5', '1e9'])
    t.throws(() => takePassedSockets(passed(count, 'listen'), 7), {
      message: `LISTEN_FDS is ${count}: it must be a number up to 64`,
    })
  t.end()
})
