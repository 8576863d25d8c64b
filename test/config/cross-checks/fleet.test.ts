import t from 'tap'
import { crossCheck } from '../../../src/config/cross-checks/cross-checks.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'

type Flags = Readonly<Record<string, string | boolean>>

const settings = (flags: Flags) => resolveSettings(readFlags(flags))
const root = '/r'
const node = {
  ...{ root, fleet: 'redis://10.0.0.9', fleetNode: 'a', peer: '10.0.0.1:8090', fleetSecretFile: '/s' },
  fleetMembers: 'a=http://10.0.0.1:8090, b=http://10.0.0.2:8090',
}
const certificates = { peerTlsCert: '/c', peerTlsKey: '/k', peerTlsCa: '/ca' }
const without = (...names: (keyof typeof node)[]): Flags =>
  Object.fromEntries(Object.entries(node).filter(([name]) => !names.some((each) => each === name)))

const refused: readonly (readonly [Flags, RegExp])[] = [
  [
    { root, fleetNode: 'a', peer: '127.0.0.1:1', fleetName: 'x' },
    /^--fleet-name, --fleet-node, --peer: give --fleet too/,
  ],
  [{ ...node, workers: '2' }, /^--workers and --fleet: give one of them/],
  [without('fleetNode'), /^--fleet needs --fleet-node/],
  [without('fleetMembers'), /^--fleet needs --fleet-members/],
  [without('peer'), /^--fleet needs --peer/],
  [without('fleetSecretFile'), /^--fleet needs --fleet-secret-file, or certificates/],
  [{ ...node, fleetNode: 'c' }, /^--fleet-node c is not among --fleet-members/],
  [
    { ...node, fleetMembers: 'a=http://10.0.0.1:1,a=http://10.0.0.2:1' },
    /^--fleet-members: a stands there twice/,
  ],
  [{ ...node, peer: 'tls:10.0.0.1:8090' }, /^--peer: leave tls: out/],
  [{ ...node, peerTlsCert: '/c' }, /^--peer-tls-cert and --peer-tls-key: give both/],
  [{ ...node, peerTlsCa: '/ca' }, /^--peer-tls-ca needs --peer-tls-cert/],
  [
    { ...node, ...certificates },
    /^--peer-tls-cert: the URLs of a, b in --fleet-members must begin with https:/,
  ],
  [{ ...node, listen: '10.0.0.1:8090', insecureNoAuth: true }, /^--peer: 10.0.0.1:8090 is taken by --listen/],
  [
    { ...without('root'), upstream: 'https://git.example' },
    /^--fleet-members: a, b would be sent the clients’ credentials/,
  ],
  [{ ...node, fleetTlsCa: '/ca' }, /^--fleet-tls-ca, .*only for an engine with TLS/],
  [{ ...node, fleet: 'rediss://h', fleetTlsCert: '/c' }, /^--fleet-tls-cert and --fleet-tls-key: give both/],
]

t.test('settings of fleets that contradict each other are refused', async (t) => {
  for (const [flags, message] of refused) {
    t.throws(() => crossCheck(settings(flags)), { name: 'ConfigError', message }, JSON.stringify(flags))
  }
})

t.test('nodes with a secret, with certificates, or workers alone', async (t) => {
  const fleetMembers = 'a=https://a.example:8090,b=https://b.example:8090'
  const fine: readonly Flags[] = [
    node,
    { ...without('fleetSecretFile'), ...certificates, fleetMembers },
    { ...without('root'), upstream: 'https://git.example', upstreamCredentials: 'service' },
    {
      ...{ ...without('root'), upstream: 'https://git.example' },
      fleetMembers: 'a=unix:/a,b=http://127.0.0.1:80',
    },
    { root, workers: '4' },
    { root, workers: 'auto' },
  ]
  for (const flags of fine) t.doesNotThrow(() => crossCheck(settings(flags)), JSON.stringify(flags))
})
