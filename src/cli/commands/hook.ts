import { InvalidArgumentError, type Command } from 'commander'
import { resolve } from 'node:path'
import { isSystemError } from '../../git/filesystem/system-errors.js'
import { HookError } from '../../git/hook/hook-error.js'
import { adminOption } from '../admin/client.js'

type Hook = typeof import('../../git/hook/hook.js')

/** `refstream hook install|status|remove REPO…`: one line for each repository. */
export function addHookCommand(program: Command): void {
  const hook = program
    .command('hook')
    .description('Manage the reference-transaction hook, which opens leases for changes of refs.')
  hook
    .command('install')
    .description('Install or update the hook, and try it; an existing hook is chained.')
    .addOption(adminOption('--token-file names the file of its token'))
    .option('--token-file <FILE>', 'file whose first line is the admin token; the hook reads it', parsePath)
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
    .description('Report whether the hook is installed, and whether it can open a lease.')
    .argument('<REPO...>')
    .action((repositories: string[]) => forEach(repositories, describeHook))
  hook
    .command('remove')
    .description('Remove the hook and restore the hook that it chained.')
    .argument('<REPO...>')
    .action((repositories: string[]) =>
      forEach(repositories, async (repository, { removeHook }) =>
        (await removeHook(repository)) ? 'removed' : 'not installed',
      ),
    )
}

/** @returns an absolute path, which the hook needs */
function parsePath(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must be the path of a file.')
  return resolve(text)
}

/** Exit code if the hook is installed but does not work. */
const failedExit = 1

/** Acts on each repository, also after one that fails. */
async function forEach(
  repositories: readonly string[],
  act: (repository: string, hook: Hook) => Promise<string>,
): Promise<void> {
  // Loaded on demand: a sidecar starts without it.
  const hook = await import('../../git/hook/hook.js')
  for (const repository of repositories) {
    try {
      // An empty path would mean the working directory; most likely a variable is unset: `hook install "$UNSET"`.
      if (repository === '') throw new HookError('the path is empty; give that of a repository')
      process.stdout.write(`${repository}: ${await act(resolve(repository), hook)}\n`)
    } catch (error) {
      if (!(error instanceof HookError) && !isSystemError(error)) throw error
      process.stderr.write(`refstream: ${repository}: ${error.message}\n`)
      process.exitCode = 2
    }
  }
}

async function describeHook(repository: string, commands: Hook): Promise<string> {
  const { hook, admin, chained, current } = await commands.inspectHook(repository)
  if (hook !== 'ours' || admin === undefined) {
    return hook === 'another' ? 'not installed; another reference-transaction hook is there' : 'not installed'
  }
  const parts = [
    `installed, admin ${admin} (${(await doubts(repository, commands)) || 'reachable'})`,
    chained ? 'chained to the earlier hook' : 'nothing chained',
    ...(current ? [] : ['installed by another version; install it again']),
  ]
  return parts.join(', ')
}

/** Opens a lease as the hook would. @returns why that failed, which sets the exit code 1; empty: it worked */
async function doubts(repository: string, { tryHook }: Hook): Promise<string> {
  const { works, answered, reason, note = '' } = await tryHook(repository)
  if (works) return note
  process.exitCode ??= failedExit
  const doubt = answered ? `reachable, but no lease can be opened: ${reason}` : `not reachable: ${reason}`
  return note ? `${doubt}; ${note}` : doubt
}
