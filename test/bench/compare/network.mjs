// Where servers listen and clients are: on loopback, or in two network namespaces that a pair of interfaces (veth(4)) joins.
// There, no address of this machine is used, and what a server sends passes two interfaces, as in two containers.
import { execFileSync } from 'node:child_process'

// Addresses for benchmarks (RFC 2544). Clients have 200 of them, from 198.18.1.1 on.
const [server, client, clients] = ['198.18.0.2', '198.18.0.1', '198.18.1.1']

export const loopback = {
  name: 'loopback',
  address: '127.0.0.1',
  onServer: [],
  onClient: [],
  from: '127.1.0.1',
}

let current = loopback
/** The network of the scenario that runs. */
export const network = () => current
export const useNetwork = (chosen) => (current = chosen)

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })

let made
/** Two namespaces, made once, which end with this process. @throws where there is no `ip`, or it is not allowed */
export function veth() {
  return (made ??= makeVeth())
}

function makeVeth() {
  const [near, far] = ['client', 'server'].map((side) => `refstream-${process.pid}-${side}`)
  const remove = (name) => {
    try {
      ip('netns', 'del', name)
    } catch {
      // It was not made.
    }
  }
  process.once('exit', () => [near, far].forEach(remove))
  for (const name of [near, far]) ip('netns', 'add', name)
  ip('-n', near, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth0', 'netns', far)
  for (const [name, address] of [
    [near, client],
    [far, server],
  ]) {
    ip('-n', name, 'address', 'add', `${address}/16`, 'dev', 'veth0')
    ip('-n', name, 'link', 'set', 'lo', 'up')
    ip('-n', name, 'link', 'set', 'veth0', 'up')
  }
  // All addresses of clients are here, without an entry for each.
  ip('-n', near, 'route', 'add', 'local', `${clients.replace(/\d+$/, '0')}/24`, 'dev', 'lo')
  const inside = (name) => ['nsenter', `--net=/run/netns/${name}`, '--']
  return { name: 'veth', address: server, onServer: inside(far), onClient: inside(near), from: clients }
}
