import type { Test } from 'tap'
import { readdirSync } from 'node:fs'
import { eventually } from './eventually.js'
import { makeGitWrapper } from './git-wrapper.js'
import { ask, infoRefs } from './http-client.js'
import { makeRepository } from './repositories.js'
import { startSidecar } from './sidecar.js'
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

/** Does work with each of two workers alone, while the other one is stopped. */
export async function withEach(
  workers: readonly number[],
  work: (worker: number) => Promise<void>,
): Promise<void> {
  for (const other of workers) await whileStopped(other, () => work(workers.find((each) => each !== other)!))
}
