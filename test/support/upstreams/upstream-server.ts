import type { Test } from 'tap'
import type { ServerProcess } from './server-process.js'
import { startCountingProxy, type CountedRequest, type ProxyTarget } from './counting-proxy.js'

/** A real Git server behind a counting proxy. */
export interface UpstreamServer {
  /** The server and its version, for messages. */
  readonly name: string
  /** Base URL of the proxy in front, without a slash at its end. */
  readonly url: string
  /** All requests so far, in the order in which they arrived. */
  requests(): readonly CountedRequest[]
  /** Ends the proxy and the server. Called with the test's end, if it was not called before. */
  stop(): Promise<void>
}

/** Users and their passwords. */
export type Passwords = Readonly<Record<string, string>>

export interface UpstreamAccess {
  /** With users, each push and each private repository asks for a password; without, everything is open to all. */
  readonly users?: Passwords
  /** Path of each private repository → the users who may read and write it. */
  readonly readers?: Readonly<Record<string, readonly string[]>>
}

/** Puts a proxy in front of a server that listens, and combines both. */
export async function behindProxy(
  t: Test,
  name: string,
  target: ProxyTarget,
  processes: readonly ServerProcess[],
): Promise<UpstreamServer> {
  const proxy = await startCountingProxy(t, target)
  const stop = async (): Promise<void> => {
    await proxy.close()
    await Promise.all(processes.map((each) => each.stop()))
  }
  return { name, url: proxy.url, requests: () => proxy.requests, stop }
}
