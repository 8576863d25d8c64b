import { type Command, InvalidArgumentError } from 'commander'
import { request, type RequestOptions } from 'node:http'
import { resolve } from 'node:path'
import { HookError, inspectHook, installHook, removeHook } from '../git/hook.js'

/** How long `status` waits for a sidecar, in milliseconds. */
const reachableWithinMs = 1000

/** `refstream hook install|status|remove REPO…`: one line for each repository. */
export function addHookCommand(program: Command): void {
  const hook = program
    .command('hook')
    .description('Manage the reference-transaction hook that tells the sidecar of changes.')
  hook
    .command('install')
    .description('Install or update the hook; one that is there already is chained.')
    .option('--admin <ADDRESS>', 'the sidecar: HOST:PORT or unix:/PATH', parseAdmin, 'http://127.0.0.1:8081')
    .argument('<REPO...>')
    .action((repositories: string[], { admin }: { admin: string }) =>
      forEach(repositories, async (repository) => {
        await installHook(repository, admin)
        return `installed, admin ${admin}`
      }),
    )
  hook
    .command('status')
    .description('Tell whether the hook is installed, and whether its sidecar answers.')
    .argument('<REPO...>')
    .action((repositories: string[]) => forEach(repositories, describe))
  hook
    .command('remove')
    .description('Remove the hook and put back the one that it chained.')
    .argument('<REPO...>')
    .action((repositories: string[]) =>
      forEach(repositories, async (repository) =>
        (await removeHook(repository)) ? 'removed' : 'not installed',
      ),
    )
}

/** One that fails keeps nobody else from his turn. */
async function forEach(
  repositories: readonly string[],
  act: (repository: string) => Promise<string>,
): Promise<void> {
  for (const repository of repositories) {
    try {
      process.stdout.write(`${repository}: ${await act(resolve(repository))}\n`)
    } catch (error) {
      if (!(error instanceof HookError) && !isSystemError(error)) throw error
      process.stderr.write(`refstream: ${repository}: ${error.message}\n`)
      process.exitCode = 2
    }
  }
}

const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error

async function describe(repository: string): Promise<string> {
  const { hook, admin, chained, current } = await inspectHook(repository)
  if (hook !== 'ours' || admin === undefined) {
    return hook === 'another' ? 'not installed; another reference-transaction hook is there' : 'not installed'
  }
  const parts = [
    `installed, admin ${admin} (${(await isReachable(admin)) ? 'reachable' : 'not reachable'})`,
    chained ? 'chained to the hook that was there before' : 'nothing chained',
    ...(current ? [] : ['another version: install it again']),
  ]
  return parts.join(', ')
}

function isReachable(admin: string): Promise<boolean> {
  const socketPath = /^unix:(.*)$/.exec(admin)?.[1]
  const options: RequestOptions = socketPath === undefined ? {} : { socketPath }
  const url = socketPath === undefined ? admin : 'http://localhost'
  const signal = AbortSignal.timeout(reachableWithinMs)
  return new Promise((settle) => {
    request(`${url}/healthz`, { ...options, signal }, (response) => {
      response.resume()
      settle(response.statusCode === 200)
    })
      .on('error', () => settle(false))
      .end()
  })
}

/** @returns `http://HOST:PORT` or `unix:/PATH` @throws InvalidArgumentError */
export function parseAdmin(text: string): string {
  // sockaddr_un has room for 107 bytes, unix(7).
  if (/^unix:\/\P{Cc}+$/u.test(text) && Buffer.byteLength(text) <= 'unix:'.length + 107) return text
  const match = /^(?:http:\/\/)?((?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5}))\/?$/.exec(text)
  const port = Number(match?.[2])
  if (!match || port === 0 || port > 65535) {
    throw new InvalidArgumentError('It must be HOST:PORT, http://HOST:PORT or unix:/PATH.')
  }
  return `http://${match[1]}`
}
