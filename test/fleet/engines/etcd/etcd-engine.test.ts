import t from 'tap'
import { etcdAddress, openEngine, skipEtcd, startEtcd, watches } from '../../../support/fleet/etcd.js'
import { EtcdEngine } from '../../../../src/fleet/engines/etcd/etcd-engine.js'
import { engineContract } from '../../engine-contract.js'

t.test('the contract', { skip: skipEtcd }, async (t) => {
  const server = await startEtcd(t)
  let fleets = 0
  await engineContract(
    t,
    async () => {
      const fleet = `fleet-${fleets++}`
      const options = { fleet, address: etcdAddress([server]), leasesMax: 20 }
      const engines = [0, 1, 2].map(() => new EtcdEngine(options))
      await Promise.all(engines.map(watches))
      return {
        engines,
        flush: async () => void server.control('del', '--prefix', `${fleet}/`),
        close: async () => void (await Promise.all(engines.map((engine) => engine.close()))),
      }
    },
    { shortMs: 200, lateMs: 100, leasesMax: 20 },
  )
})
