import t from 'tap'
import { Readiness } from '../../src/assembly/readiness.js'

type Real = string | undefined

function makeReadiness(root: () => Real | Promise<Real>) {
  const state = { shedding: false }
  const limits = { shedding: () => state.shedding }
  return { state, readiness: new Readiness({ root: { path: '/srv/git' }, disks: { root }, limits }) }
}

t.test('ready while the root can be entered and no requests are shed', async (t) => {
  const { state, readiness } = makeReadiness(() => '/srv/git')
  t.equal(readiness.reason(), undefined)
  state.shedding = true
  t.equal(readiness.reason(), 'overloaded: requests are shed')
  state.shedding = false
  readiness.drain()
  t.equal(readiness.reason(), 'shutting down')
})

t.test('not ready if the root is missing, or its filesystem does not answer', async (t) => {
  t.match(makeReadiness(() => undefined).readiness.reason(), /^\/srv\/git is not a directory/)
  t.match(await makeReadiness(async () => undefined).readiness.reason(), /^\/srv\/git is not a directory/)
  t.equal(await makeReadiness(async () => '/mnt').readiness.reason(), undefined)
  const hung = makeReadiness(() => Promise.reject(new Error('hung'))).readiness
  t.equal(await hung.reason(), 'the filesystem of /srv/git does not answer')
})

t.test(
  'a scrape is told at once: of a filesystem that may hang, what the last check has found',
  async (t) => {
    const { state, readiness } = makeReadiness(() => '/srv/git')
    t.equal(readiness.isReady, true)
    state.shedding = true
    t.equal(readiness.isReady, false)
    t.equal(makeReadiness(() => undefined).readiness.isReady, false)
    let checks = 0
    const slow = makeReadiness(() => {
      checks++
      return Promise.reject(new Error('hung'))
    }).readiness
    t.same([slow.isReady, slow.isReady, checks], [true, true, 1], 'one check at a time')
    await new Promise(setImmediate)
    t.equal(slow.isReady, false)
  },
)
