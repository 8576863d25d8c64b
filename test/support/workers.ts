import type { Test } from 'tap'
import { readdirSync } from 'node:fs'
import { Agent } from 'node:http'
import { eventually } from './eventually.js'
import { makeGitWrapper } from './git-wrapper.js'
import { ask, infoRefs, open, type Answer, type Ask } from './http-client.js'
import { makeRepository } from './repositories.js'
import { startSidecar, type SpawnedSidecar } from './sidecar.js'
import { tempDir } from './temp-dir.js'
import { isStopped } from './worker-processes.js'

/** Starts a sidecar of two workers, with a repository r.git. */
export async function startWorkers(t: Test, ...args: string[]) {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const temporary = tempDir(t)
  const wrapper = makeGitWrapper(t)
  wrapper.plan(undefined)
  const sidecar = await startSidecar(t, root, {
    args: ['--workers', '2', '--git', wrapper.path, ...args],
    environment: { TMPDIR: temporary },
  })
  const privateDirectories = (): string[] =>
    readdirSync(temporary).filter((name) => name.startsWith('refstream-'))
  return { root, wrapper, sidecar, url: infoRefs(sidecar.url, 'r.git'), privateDirectories }
}

/** Resolves with how many workers have answered; 0 if the one that was asked has just ended. */
export const upOf = (sidecar: SpawnedSidecar): Promise<number> =>
  sidecar.metric('refstream_workers', { state: 'up' }).catch(() => 0)

/** Asks on a connection of its own. */
export const askAnew = async (url: string): Promise<number> =>
  (await ask(url, { headers: { Connection: 'close' } })).status

/** Does work while a process is stopped. */
export const whileStopped = async (pid: number, work: () => Promise<void>): Promise<void> => {
  process.kill(pid, 'SIGSTOP')
  try {
    // Until then it may take a connection that it does not answer.
    await eventually('it has stopped', () => isStopped(pid))
    await work()
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}

/** Sends a request on a connection. */
export type Send = (path: string, options?: Ask) => Promise<Answer>

/**
 * Connects to each of two workers, while the other one is stopped. Closed with the test.
 * @returns what sends requests on the connection to the first, and to the second
 */
export async function connectToEach(t: Test, url: string, workers: readonly number[]): Promise<[Send, Send]> {
  const connections: Send[] = []
  for (const other of [...workers].reverse()) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    const send: Send = async (path, { method = 'GET', headers = {}, body } = {}) => {
      const response = await open(url + path, { method, headers, agent }, body)
      if (response.socket !== socket) throw new Error('the connection was closed')
      const chunks = (await response.toArray()) as Buffer[]
      return {
        status: response.statusCode ?? 0,
        ...{ headers: response.headers, rawHeaders: response.rawHeaders, body: Buffer.concat(chunks) },
      }
    }
    let socket: unknown
    connections.push(send)
    await whileStopped(other, async () => {
      const response = await open(`${url}/`, { agent })
      socket = response.socket
      await response.toArray()
    })
  }
  return connections as [Send, Send]
}
