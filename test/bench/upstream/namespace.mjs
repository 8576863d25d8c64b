// A network namespace of its own for the far side of a line, joined to this one by a pair of interfaces that count.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'

// Addresses for benchmarks (RFC 2544).
const [here, there] = ['198.18.0.1', '198.18.0.2']

export class FarSide {
  namespace = `refstream-${process.pid}`
  address = there
  #device = `rs${process.pid % 100_000}`

  /** @returns undefined where there is no `ip`, or it is not allowed, or this machine uses such addresses */
  static open() {
    const used = Object.values(networkInterfaces()).flat()
    if (used.some(({ address }) => address.startsWith('198.18.'))) return undefined
    const far = new FarSide()
    try {
      far.#ip('netns', 'add', far.namespace)
    } catch {
      return undefined
    }
    process.once('exit', () => far.#ip('netns', 'del', far.namespace))
    const peer = `${far.#device}p`
    try {
      far.#ip('link', 'add', far.#device, 'type', 'veth', 'peer', 'name', peer, 'netns', far.namespace)
      far.#ip('address', 'add', `${here}/30`, 'dev', far.#device)
      far.#ip('link', 'set', far.#device, 'up')
      far.#inside('address', 'add', `${there}/30`, 'dev', peer)
      far.#inside('link', 'set', peer, 'up')
      far.#inside('link', 'set', 'lo', 'up')
    } catch {
      return undefined
    }
    return far
  }

  #ip(...args) {
    execFileSync('ip', args, { stdio: 'ignore' })
  }

  #inside(...args) {
    this.#ip('netns', 'exec', this.namespace, 'ip', ...args)
  }

  /** Bytes in both directions, with the headers of TCP, IP and Ethernet. */
  get bytes() {
    return ['rx', 'tx']
      .map((way) => Number(readFileSync(`/sys/class/net/${this.#device}/statistics/${way}_bytes`, 'utf8')))
      .reduce((sum, bytes) => sum + bytes)
  }
}
