import * as fs from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { simpleGit } from 'simple-git'
import { trialOf, type HookTrial } from './hook-trial.js'

/** The reference-transaction hook of one repository, as it is on disk. */
export interface HookState {
  /** Whose hook is there, if any. */
  readonly hook: 'none' | 'ours' | 'another'
  /** Where it finds the sidecar: `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`. */
  readonly admin?: string
  /** The file with the token that the sidecar wants. */
  readonly tokenFile?: string | undefined
  /** Does it run the hook that was there before? */
  readonly chained: boolean
  /** Is it what `installHook` would write today? */
  readonly current: boolean
}

/** The hook cannot be installed here or removed; the message says why and what to do. */
export class HookError extends Error {
  override readonly name = 'HookError'
}

const template = fileURLToPath(new URL('./reference-transaction', import.meta.url))
/** By this line an installed hook is known, whatever its version. */
const signature = "# refstream's reference-transaction hook"

/** Where a repository's hooks are, and the refs that they guard. */
interface Places {
  readonly commonDir: string
  readonly hook: string
  readonly chained: string
  /** Where the hook keeps its notes. */
  readonly notes: string
}

/**
 * Lays down the hook, or brings an older one up to date; a hook that is there already is chained.
 * @param repository path of a bare repository, a worktree or a `.git`
 * @param admin the sidecar's admin address, `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`
 * @param tokenFile absolute path of a file whose first line is the sidecar's admin token; read whenever the hook runs
 * @throws HookError, or a file system's error
 */
export async function installHook(repository: string, admin: string, tokenFile?: string): Promise<void> {
  if (tokenFile !== undefined) checkTokenFile(tokenFile)
  const places = await find(repository)
  const text = render(admin, tokenFile)
  fs.mkdirSync(dirname(places.hook), { recursive: true })
  const temporary = `${places.hook}.${process.pid}.tmp`
  try {
    fs.writeFileSync(temporary, text)
    fs.chmodSync(temporary, 0o755)
    if (readState(places).hook === 'another') chain(places)
    fs.renameSync(temporary, places.hook)
  } finally {
    fs.rmSync(temporary, { force: true })
  }
  makeNotes(places)
}

/** @throws HookError, or a file system's error */
export async function inspectHook(repository: string): Promise<HookState> {
  return readState(await find(repository))
}

/**
 * Opens and ends a lease as the installed hook would: with its program, its address and its token. Nothing else changes.
 * @throws HookError if there is none of ours, or a file system's error
 */
export async function tryHook(repository: string): Promise<HookTrial> {
  const places = await find(repository)
  const { admin, tokenFile } = readState(places)
  if (admin === undefined) throw new HookError('the hook is not installed')
  return trialOf({ script: render(admin, tokenFile), tokenFile, ...places })
}

/** Takes the hook away and puts back the one that it chained. @returns whether there was one of ours */
export async function removeHook(repository: string): Promise<boolean> {
  const places = await find(repository)
  const { hook, chained } = readState(places)
  if (hook !== 'ours') return false
  if (chained) fs.renameSync(places.chained, places.hook)
  else fs.rmSync(places.hook)
  fs.rmSync(places.notes, { recursive: true, force: true })
  return true
}

/** @throws HookError if this is no repository, or if its hooks are not its own */
async function find(repository: string): Promise<Places> {
  const [commonDir, hooks] = await askGit(repository)
  const links = (path: string): string => (fs.existsSync(path) ? fs.realpathSync(path) : path)
  if (!links(hooks).startsWith(links(commonDir) + sep)) {
    throw new HookError(
      `its hooks are in ${links(hooks)}, outside of the repository (core.hooksPath or a link): every repository ` +
        `that uses them would get this hook. Give it a directory of its own first, inside ${commonDir}: ` +
        `git -C ${repository} config core.hooksPath DIRECTORY`,
    )
  }
  const hook = join(hooks, 'reference-transaction')
  return { commonDir, hook, chained: `${hook}.chained`, notes: join(commonDir, 'refstream') }
}

/** The common directory and the hooks directory, absolute. */
async function askGit(repository: string): Promise<[commonDir: string, hooks: string]> {
  if (!fs.statSync(repository, { throwIfNoEntry: false })?.isDirectory()) {
    throw new HookError('there is no such directory')
  }
  const directory = fs.realpathSync(repository)
  const inside = join(directory, '.git')
  // Said, not left to be found: Git may be told to take no bare repository that it finds by itself
  // (safe.bareRepository), and would find one further up, of which this is a mere directory.
  const environment = { ...gitEnvironment(), GIT_DIR: fs.existsSync(inside) ? inside : directory }
  const git = simpleGit(directory, {
    config: ['safe.directory=*'],
    allowEnvironment: Object.keys(environment),
    unsafe: { allowUnsafeConfigPaths: true },
  }).env(environment)
  try {
    const answer = await git.revparse(['--path-format=absolute', '--git-common-dir', '--git-path', 'hooks'])
    const [commonDir, hooks, ...rest] = answer.split('\n')
    if (commonDir && hooks && rest.length === 0) return [commonDir, hooks]
    throw new Error('its path has a line feed')
  } catch (error) {
    const line = (error instanceof Error ? error.message : String(error)).trim().replaceAll(/\s*\n\s*/g, ' ')
    throw new HookError(`Git finds no repository: ${line}`, { cause: error })
  }
}

/** What tells Git where it and its configuration are; simple-git refuses much else (EDITOR, PAGER). */
function gitEnvironment(): NodeJS.ProcessEnv {
  const names = [
    'PATH',
    'HOME',
    'XDG_CONFIG_HOME',
    'GIT_CONFIG_GLOBAL',
    'GIT_CONFIG_SYSTEM',
    'GIT_CONFIG_NOSYSTEM',
  ]
  const set = names.filter((name) => process.env[name] !== undefined)
  return Object.fromEntries(set.map((name) => [name, process.env[name]]))
}

/** Longest token file that is read, in bytes. */
const tokenFileMax = 65_536

/** @throws HookError if the hook could not bring a token from there */
function checkTokenFile(path: string): void {
  const wrong = (reason: string): HookError => new HookError(`--token-file: ${path} ${reason}`)
  // Such a path could not be written into the hook as one line.
  if (/\p{Cc}/u.test(path)) throw wrong('has a control character in its name')
  let text: string
  try {
    const stats = fs.statSync(path)
    if (!stats.isFile()) throw wrong('is not a file')
    if (stats.size > tokenFileMax) throw wrong('is too long for a token')
    text = fs.readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof HookError) throw error
    throw wrong(`cannot be read: ${(error as Error).message}`)
  }
  const line = (text.split('\n', 1)[0] ?? '').replace(/\r$/, '')
  if (line === '') throw wrong('has an empty first line; put the token there')
  if (/^[^:]+:[0-9a-fA-F]{64}$/.test(line)) {
    throw wrong(
      'holds a name and a hash, as the sidecar’s --admin-token-file; the hook needs the token itself',
    )
  }
  // What a header takes as a token (RFC 6750).
  if (!/^[\x21-\x7e]+$/.test(line))
    throw wrong('has a first line that is no token: only printable ASCII, no spaces')
}

function render(admin: string, tokenFile = ''): string {
  const quoted = (text: string): string => text.replaceAll("'", String.raw`'\''`)
  return fs
    .readFileSync(template, 'utf8')
    .replace('@ADMIN@', () => quoted(admin))
    .replace('@TOKEN_FILE@', () => quoted(tokenFile))
}

/** What `render` has put in for a variable. */
function rendered(text: string, variable: string): string | undefined {
  return new RegExp(`^ *${variable}='(.*)'$`, 'm').exec(text)?.[1]?.replaceAll(String.raw`'\''`, "'")
}

function readState(places: Places): HookState {
  const chained = fs.lstatSync(places.chained, { throwIfNoEntry: false }) !== undefined
  if (!fs.lstatSync(places.hook, { throwIfNoEntry: false })) return { hook: 'none', chained, current: false }
  const isFile = fs.statSync(places.hook, { throwIfNoEntry: false })?.isFile()
  const text = isFile ? fs.readFileSync(places.hook, 'utf8') : ''
  const admin = rendered(text, 'admin')
  const tokenFile = rendered(text, 'token_file') || undefined
  if (!text.includes(`\n${signature}`) || admin === undefined) {
    return { hook: 'another', chained, current: false }
  }
  return { hook: 'ours', admin, tokenFile, chained, current: text === render(admin, tokenFile) }
}

/** Gives the hook that is there its second name; the first stays until ours takes it, so that it is never missing. */
function chain({ hook, chained }: Places): void {
  if (!fs.statSync(hook, { throwIfNoEntry: false })?.isFile()) {
    throw new HookError(`${hook} is no file, and so no hook: move it away`)
  }
  const before = fs.lstatSync(chained, { throwIfNoEntry: false })
  if (before) {
    // A run that was killed in between left it with both names.
    if (before.ino === fs.lstatSync(hook).ino) return
    throw new HookError(`there are both ${hook} and ${basename(chained)}: merge them into the first`)
  }
  try {
    fs.linkSync(hook, chained)
  } catch {
    // Not every file system has hard links, and not everybody may make one to somebody else's file.
    fs.renameSync(hook, chained)
  }
}

/** Those who may write the refs may write the notes. */
function makeNotes({ commonDir, notes }: Places): void {
  const refs = fs.statSync(join(commonDir, 'refs'))
  fs.mkdirSync(notes, { recursive: true })
  if (process.getuid?.() === 0) fs.chownSync(notes, refs.uid, refs.gid)
  fs.chmodSync(notes, refs.mode & 0o7777)
}
