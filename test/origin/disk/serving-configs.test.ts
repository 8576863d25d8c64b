import t from 'tap'
import type { Observation } from '../../../src/origin/disk/observation/observer.js'
import type { Git } from '../../../src/git/process/git.js'
import { BackOff } from '../../../src/limits/back-off.js'
import { Overloaded } from '../../../src/limits/overloaded.js'
import { ServingConfigs } from '../../../src/origin/disk/serving-configs.js'
import { FakeClock } from '../../support/fake-clock.js'

/** Configurations of a Git that gives no permit: every process fails with this error. */
function openConfigs(error: Error = new Error('no permit')) {
  const asked = { count: 0 }
  const git = {
    environment: {},
    acquirePermit: async () => {
      asked.count++
      throw error
    },
  } as unknown as Git
  const backOff = new BackOff({
    baseMs: 100,
    capMs: 1000,
    max: 10,
    clock: new FakeClock(),
    random: () => 0.5,
  })
  return {
    configs: new ServingConfigs({ git, installation: Promise.resolve({ version: '2.39.5' }), backOff }),
    asked,
  }
}

/** @param mentioned names of the variables that configuration files mention; undefined: Git has to be asked for each */
const observed = (token: string, mentioned?: readonly string[], unsettledMs = 0): Observation =>
  ({
    repository: { commonDir: '/r.git' },
    config: { mentioned: mentioned && new Set(mentioned) },
    capabilities: { token, unsettledMs },
  }) as unknown as Observation

t.test('a configuration that mentions nothing has the defaults, without a process', async (t) => {
  const { configs, asked } = openConfigs()
  const defaults = { uploadPack: true, shared: true, objectFormat: 'sha1' }
  t.match(await configs.of(observed('a', [])), defaults)
  t.match(configs.of(observed('a')), defaults, 'at once, once it is known')
  t.equal(asked.count, 0)
})

t.test('requests in one state share a reading', async (t) => {
  const { configs, asked } = openConfigs()
  const mentioned = ['http.uploadpack']
  const first = configs.of(observed('a', mentioned))
  t.equal(configs.of(observed('a', mentioned)), first)
  const other = configs.of(observed('b', mentioned))
  t.not(other, first)
  await t.rejects(Promise.resolve(first), { message: 'no permit' })
  await t.rejects(Promise.resolve(other), { message: 'no permit' })
  t.equal(asked.count, 2)
})

t.test('in an unsettled state, only requests with one observation share a reading', async (t) => {
  const { configs } = openConfigs()
  const observation = observed('a', ['http.uploadpack'], 5)
  const first = configs.of(observation)
  t.equal(configs.of(observation), first)
  const other = configs.of(observed('a', ['http.uploadpack'], 5))
  t.not(other, first)
  await Promise.allSettled([first, other])
})

t.test('a failed reading is not kept, and the second in a row backs off', async (t) => {
  const { configs, asked } = openConfigs()
  const read = async (): Promise<unknown> => configs.of(observed('a', ['http.uploadpack']))
  await t.rejects(read(), { message: 'no permit' })
  await t.rejects(read(), { message: 'no permit' })
  await t.rejects(read(), { name: 'BackingOff', retryAfterMs: 50 })
  t.equal(asked.count, 2)
})

t.test('a failure of the moment does not back off', async (t) => {
  const { configs, asked } = openConfigs(new Overloaded('wait', 1))
  for (let count = 0; count < 3; count++) {
    await t.rejects(async () => configs.of(observed('a', ['http.uploadpack'])), { name: 'Overloaded' })
  }
  t.equal(asked.count, 3)
})
