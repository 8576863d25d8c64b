import t from 'tap'
import { engineUrl } from '../../../../src/config/values/fleet.js'
import { loadRedisPackage, RedisPackageMissing } from '../../../../src/fleet/engines/redis/package.js'
import { openRedisEngine } from '../../../../src/fleet/engines/redis/open.js'

const missing = () =>
  Promise.reject(
    Object.assign(new Error("Cannot find package '@redis/client'"), { code: 'ERR_MODULE_NOT_FOUND' }),
  )

t.test('a package that is not installed is named, with what to do', async (t) => {
  await t.rejects(loadRedisPackage(missing), RedisPackageMissing)
  await t.rejects(loadRedisPackage(missing), { message: /npm install @redis\/client@6/ })
  const address = engineUrl.parse('redis://127.0.0.1:1')
  await t.rejects(openRedisEngine({ address, fleet: 'fleet', load: missing }), RedisPackageMissing)
})

t.test('another error is not taken for that', async (t) => {
  await t.rejects(
    loadRedisPackage(() => Promise.reject(new Error('broken'))),
    { message: 'broken' },
  )
})

t.test('the installed package is loaded', async (t) => {
  t.type((await loadRedisPackage()).createClient, 'function')
})
