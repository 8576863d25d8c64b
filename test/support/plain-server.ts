import type { Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { gitEnvironment } from './repositories.js'

const server = fileURLToPath(new URL('../bench/plain-server.mjs', import.meta.url))

/**
 * Starts a server that only runs `git http-backend`, and resolves with its URL. Ended with the test.
 * @param program the Git program that it runs
 */
export async function startPlainServer(t: Test, root: string, program = 'git'): Promise<string> {
  const child = spawn(process.execPath, [server, root, program], {
    env: gitEnvironment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill())
  const [url] = (await once(createInterface(child.stdout), 'line')) as [string]
  return url
}
