/**
 * dulwich's HTTP server: Git in Python, without the `git` program. Debian: python3-dulwich; PyPI: dulwich.
 *
 * What it does not do (tried with 0.21.2 of Debian 12 and 1.2.21):
 * - It speaks protocol v0 only, and does not look at Git-Protocol: clients that ask for v1 or v2 get a v0 advertisement.
 * - It speaks HTTP/1.0: the end of a connection ends a response, and there is no Content-Length.
 * - It has no passwords, and never sends the capability `allow-reachable-sha1-in-want`.
 * - 0.21.2 does not know partial clones; 1.2.21 filters the pack, but then sends no object on demand.
 * - A fetch without --depth in a shallow clone gets a 500, since it expects `deepen` after `shallow`.
 * - It answers one request after another; dulwich-server.py gives each a thread.
 */
import type { Test } from 'tap'
import { fileURLToPath } from 'node:url'
import { gitEnvironment } from '../repositories.js'
import { outputOf } from './programs.js'
import { startProcess } from './server-process.js'
import { behindProxy, type UpstreamServer } from './upstream-server.js'

const program = fileURLToPath(new URL('dulwich-server.py', import.meta.url))
const printVersion = 'import dulwich; print(".".join(map(str, dulwich.__version__)))'

/** The first Python that has dulwich, and dulwich's version. Debian's package is there for Debian's Python alone. */
function findDulwich(): { python: string; version: string } | undefined {
  for (const python of ['python3', '/usr/bin/python3']) {
    const version = outputOf(python, '-c', printVersion)
    if (version !== undefined) return { python, version }
  }
  return undefined
}

/** Returns what is missing here, if anything is. */
export function missingForDulwich(): string | undefined {
  return findDulwich() ? undefined : 'no python3 has dulwich (Debian: python3-dulwich)'
}

/** Serves all repositories below a directory, read and write, to all. */
export async function startDulwich(t: Test, root: string): Promise<UpstreamServer> {
  const found = findDulwich()
  if (!found) throw new Error('dulwich is not installed')
  const server = startProcess(t, found.python, [program, root], { environment: gitEnvironment })
  const [port] = await server.line(/^\d+$/)
  return behindProxy(t, `dulwich ${found.version}`, { port: Number(port) }, [server])
}
