import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { gitEnvironment } from './repositories.js'

const execute = promisify(execFile)

/** Runs a Git client and resolves with its output. Rejects with an error that has `stderr` if it fails. */
export type GitClient = (cwd: string, ...args: string[]) => Promise<string>

/** Returns a client that speaks this protocol version; several may run at once. */
export const gitClient =
  (version: 0 | 1 | 2): GitClient =>
  async (cwd, ...args) => {
    const config = [`protocol.version=${version}`, 'advice.detachedHead=false', 'init.defaultBranch=main']
    const options = { cwd, env: { ...gitEnvironment, HOME: cwd }, maxBuffer: 1 << 28 }
    const words = [...config.flatMap((pair) => ['-c', pair]), ...args]
    return (await execute('git', words, options)).stdout.trim()
  }

/** Resolves with the error output of a client that must fail. @throws if it succeeds */
export async function complaint(running: Promise<unknown>): Promise<string> {
  const failed = await running.then(
    () => undefined,
    (error: unknown) => error as { stderr: string },
  )
  if (!failed) throw new Error('the client succeeded')
  return failed.stderr
}
