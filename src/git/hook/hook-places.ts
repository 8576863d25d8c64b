import { existsSync, realpathSync, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { simpleGit, type SimpleGit } from 'simple-git'
import { HookError } from './hook-error.js'

/** Where a repository keeps the hook and what belongs to it; absolute paths. */
export interface HookPlaces {
  /** The directory with the refs that the hook observes. */
  readonly commonDir: string
  readonly hook: string
  /** The hook that was there before. */
  readonly chained: string
  /** The directory with the ids of open leases. */
  readonly notes: string
}

/**
 * Finds the places of a repository's hook.
 * @param repository path of a bare repository, a worktree or a `.git`
 * @throws HookError if this is not a repository, or if its hooks directory is shared with others
 */
export async function findHookPlaces(repository: string): Promise<HookPlaces> {
  const git = gitIn(repository)
  const { commonDir, hooks } = await findDirectories(git)
  const real = (path: string): string => (existsSync(path) ? realpathSync(path) : path)
  if (!real(hooks).startsWith(real(commonDir) + sep)) {
    throw new HookError(
      `its hooks are in ${real(hooks)}, outside of the repository (${await reasonOf(git)}): every repository ` +
        `that uses them would get this hook. Give it a hooks directory of its own first, inside ${commonDir}: ` +
        `git -C ${repository} config core.hooksPath DIRECTORY`,
    )
  }
  const hook = join(hooks, 'reference-transaction')
  return { commonDir, hook, chained: `${hook}.chained`, notes: join(commonDir, 'refstream') }
}

async function findDirectories(git: SimpleGit): Promise<{ commonDir: string; hooks: string }> {
  try {
    const answer = await git.revparse(['--path-format=absolute', '--git-common-dir', '--git-path', 'hooks'])
    const [commonDir, hooks, ...rest] = answer.split('\n')
    if (commonDir && hooks && rest.length === 0) return { commonDir, hooks }
    throw new Error('its path has a line feed')
  } catch (error) {
    const line = (error instanceof Error ? error.message : String(error)).trim().replaceAll(/\s*\n\s*/g, ' ')
    throw new HookError(`Git finds no repository: ${line}`, { cause: error })
  }
}

/** Returns why the hooks are not in the repository: configuration, with the file that sets it, or a link. */
async function reasonOf(git: SimpleGit): Promise<string> {
  const setting = await git.getConfig('core.hooksPath').catch(() => null)
  if (!setting) return 'core.hooksPath or a link'
  return setting.value === null
    ? 'its hooks directory is a link'
    : `core.hooksPath in ${setting.paths.at(-1)}`
}

/**
 * The only variables that Git gets, since .env() replaces the whole environment: they select the configuration of the user
 * who runs the command.
 */
const passedOn = [
  ...['PATH', 'HOME', 'XDG_CONFIG_HOME'],
  ...['GIT_CONFIG_GLOBAL', 'GIT_CONFIG_SYSTEM', 'GIT_CONFIG_NOSYSTEM'],
]

/** Returns Git for the repository in this directory, and in none further up. @throws HookError if there is no directory */
function gitIn(repository: string): SimpleGit {
  if (!statSync(repository, { throwIfNoEntry: false })?.isDirectory()) {
    throw new HookError('there is no such directory')
  }
  const directory = realpathSync(repository)
  const inside = join(directory, '.git')
  const set = passedOn.filter((name) => process.env[name] !== undefined)
  const environment: NodeJS.ProcessEnv = {
    ...Object.fromEntries(set.map((name) => [name, process.env[name]])),
    // Set, because Git may refuse a bare repository that it finds by itself (safe.bareRepository), and would search the
    // parent directories.
    GIT_DIR: existsSync(inside) ? inside : directory,
  }
  return simpleGit(directory, {
    config: ['safe.directory=*'],
    // simple-git throws on guarded variables (GIT_*, EDITOR, PAGER) that are not named here.
    allowEnvironment: Object.keys(environment),
    // For GIT_CONFIG_GLOBAL and GIT_CONFIG_SYSTEM, which come from the same user as the command.
    unsafe: { allowUnsafeConfigPaths: true },
  }).env(environment)
}
