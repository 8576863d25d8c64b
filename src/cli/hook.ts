import { InvalidArgumentError, type Command } from 'commander'
import { resolve } from 'node:path'
import { HookError } from '../git/hook/hook-error.js'
import { adminOption } from './admin-client.js'

type Hook = typeof import('../git/hook/hook.js')

/** `refstream hook install|status|remove REPO…`: one line for each repository. */
export function addHookCommand(program: Command): void {
  const hook = program
    .command('hook')
    .description('Manage the reference-transaction hook that tells the sidecar of changes.')
  hook
    .command('install')
    .description('Install or update the hook, and try it; one that is there already is chained.')
    .addOption(adminOption())
    .option(
      '--token-file <FILE>',
      'file whose first line is the token that the sidecar needs; the hook reads it',
      parsePath,
    )
    .argument('<REPO...>')
    .action((repositories: string[], { admin, tokenFile }: { admin: string; tokenFile?: string }) =>
      forEach(repositories, async (repository, hook) => {
        await hook.installHook(repository, admin, tokenFile)
        const doubt = await doubts(repository, hook)
        return `installed, admin ${admin}${doubt && ` (${doubt})`}`
      }),
    )
  hook
    .command('status')
    .description('Tell whether the hook is installed, and whether its sidecar gives it a lease.')
    .argument('<REPO...>')
    .action((repositories: string[]) => forEach(repositories, describe))
  hook
    .command('remove')
    .description('Remove the hook and put back the one that it chained.')
    .argument('<REPO...>')
    .action((repositories: string[]) =>
      forEach(repositories, async (repository, { removeHook }) =>
        (await removeHook(repository)) ? 'removed' : 'not installed',
      ),
    )
}

/** @returns it as an absolute path, which the hook needs */
function parsePath(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must be the path of a file.')
  return resolve(text)
}

/** Exit code for a hook that is installed and does not work. */
const failedExit = 1

/** One that fails keeps nobody else from his turn. */
async function forEach(
  repositories: readonly string[],
  act: (repository: string, hook: Hook) => Promise<string>,
): Promise<void> {
  // Loaded when it is needed: a sidecar starts without it.
  const hook = await import('../git/hook/hook.js')
  for (const repository of repositories) {
    try {
      // It would mean the working directory, which is likely meant by nobody: `hook install "$UNSET"`.
      if (repository === '') throw new HookError('the path is empty; give that of a repository')
      process.stdout.write(`${repository}: ${await act(resolve(repository), hook)}\n`)
    } catch (error) {
      if (!(error instanceof HookError) && !isSystemError(error)) throw error
      process.stderr.write(`refstream: ${repository}: ${error.message}\n`)
      process.exitCode = 2
    }
  }
}

const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error

async function describe(repository: string, commands: Hook): Promise<string> {
  const { hook, admin, chained, current } = await commands.inspectHook(repository)
  if (hook !== 'ours' || admin === undefined) {
    return hook === 'another' ? 'not installed; another reference-transaction hook is there' : 'not installed'
  }
  const parts = [
    `installed, admin ${admin} (${(await doubts(repository, commands)) || 'reachable'})`,
    chained ? 'chained to the hook that was there before' : 'nothing chained',
    ...(current ? [] : ['another version: install it again']),
  ]
  return parts.join(', ')
}

/** Opens a lease as the hook would. @returns why none could be opened, which makes the exit code 1; '' if one could */
async function doubts(repository: string, { tryHook }: Hook): Promise<string> {
  const { works, answered, reason, note = '' } = await tryHook(repository)
  if (works) return note
  process.exitCode ??= failedExit
  const doubt = answered ? `reachable, but no lease can be opened: ${reason}` : `not reachable: ${reason}`
  return note ? `${doubt}; ${note}` : doubt
}
