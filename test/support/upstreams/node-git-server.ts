/**
 * node-git-server, from npm: `git upload-pack` and `git receive-pack` behind Node's HTTP server.
 *
 * What it does not do (1.0.0):
 * - It speaks protocol v0 only: Git-Protocol is not given to Git. An ls-refs is never answered: it waits for a `want`.
 * - It asks for a password at `info/refs` only; a POST is served without one.
 * - A repository that does not exist would be made by a request for it (`autoCreate`, which is off here).
 * - It answers each request with `Connection: close`, without a Content-Length.
 * - A Git process that fails ends its response as if it was whole.
 */
import type { Test } from 'tap'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gitEnvironment } from '../repositories.js'
import { startProcess } from './server-process.js'
import { behindProxy, type UpstreamAccess, type UpstreamServer } from './upstream-server.js'

const program = fileURLToPath(new URL('node-git-server.mjs', import.meta.url))
const installed = new URL('../../../node_modules/node-git-server/package.json', import.meta.url)

/** Returns what is missing here, if anything is. */
export function missingForNodeGitServer(): string | undefined {
  return existsSync(installed) ? undefined : 'node-git-server is not installed (npm ci)'
}

/** Serves all repositories below a directory, read and write. */
export async function startNodeGitServer(
  t: Test,
  root: string,
  access: UpstreamAccess = {},
): Promise<UpstreamServer> {
  const args = [program, root, JSON.stringify(access)]
  const server = startProcess(t, process.execPath, args, { environment: gitEnvironment })
  const [, version = '', port] = await server.line(/^(\S+) (\d+)$/)
  return behindProxy(t, `node-git-server ${version}`, { port: Number(port) }, [server])
}
