import { ensureDir, outputFile, remove } from 'fs-extra/esm'
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import { HookError } from './hook-error.js'
import { findHookPlaces, type HookPlaces } from './hook-places.js'
import { parseHook, renderHook, type HookSettings } from './hook-script.js'
import { checkTokenFile } from './hook-token-file.js'
import { tryScript, type HookTrial } from './hook-trial.js'

/** The reference-transaction hook (githooks(5)) of one repository, as it is on disk. */
export interface HookState extends Partial<HookSettings> {
  /** Whose hook is there, if any; with the settings of ours. */
  readonly hook: 'none' | 'ours' | 'another'
  /** Does it run the hook that was there before? */
  readonly chained: boolean
  /** Is it what `installHook` would write today? */
  readonly current: boolean
}

/**
 * Installs the hook, or updates an older one; a hook that is there already is chained.
 * @param repository path of a bare repository, a worktree or a `.git`
 * @param admin the sidecar's admin address, `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`
 * @param tokenFile absolute path of a file whose first line is the sidecar's admin token; read whenever the hook runs
 * @throws HookError, or a file system's error
 */
export async function installHook(repository: string, admin: string, tokenFile?: string): Promise<void> {
  if (tokenFile !== undefined) checkTokenFile(tokenFile)
  const places = await findHookPlaces(repository)
  const temporary = `${places.hook}.${process.pid}.tmp`
  try {
    await outputFile(temporary, renderHook({ admin, tokenFile }))
    fs.chmodSync(temporary, 0o755)
    if (readState(places).hook === 'another') chain(places)
    fs.renameSync(temporary, places.hook)
  } finally {
    await remove(temporary)
  }
  await makeNotes(places)
}

/** @throws HookError, or a file system's error */
export async function inspectHook(repository: string): Promise<HookState> {
  return readState(await findHookPlaces(repository))
}

/**
 * Opens and ends a lease as the installed hook would: with its program, its address and its token. Changes nothing else.
 * @throws HookError if it is not installed, or a file system's error
 */
export async function tryHook(repository: string): Promise<HookTrial> {
  const places = await findHookPlaces(repository)
  const { admin, tokenFile } = readState(places)
  if (admin === undefined) throw new HookError('the hook is not installed')
  return tryScript({ script: renderHook({ admin, tokenFile }), tokenFile, ...places })
}

/** Removes the hook and restores the one that it chained. @returns whether it was installed */
export async function removeHook(repository: string): Promise<boolean> {
  const places = await findHookPlaces(repository)
  const { hook, chained } = readState(places)
  if (hook !== 'ours') return false
  if (chained) fs.renameSync(places.chained, places.hook)
  else await remove(places.hook)
  await remove(places.notes)
  return true
}

function readState(places: HookPlaces): HookState {
  const chained = fs.lstatSync(places.chained, { throwIfNoEntry: false }) !== undefined
  if (!fs.lstatSync(places.hook, { throwIfNoEntry: false })) return { hook: 'none', chained, current: false }
  const isFile = fs.statSync(places.hook, { throwIfNoEntry: false })?.isFile()
  const text = isFile ? fs.readFileSync(places.hook, 'utf8') : ''
  const settings = parseHook(text)
  if (!settings) return { hook: 'another', chained, current: false }
  return { hook: 'ours', ...settings, chained, current: text === renderHook(settings) }
}

/** Gives the existing hook a second name; the first one stays until the new hook takes it, so that it is never missing. */
function chain({ hook, chained }: HookPlaces): void {
  if (!fs.statSync(hook, { throwIfNoEntry: false })?.isFile()) {
    throw new HookError(`${hook} is not a file, and so not a hook: move it away`)
  }
  const before = fs.lstatSync(chained, { throwIfNoEntry: false })
  if (before) {
    // An installation that was killed in between has left it with both names.
    if (before.ino === fs.lstatSync(hook).ino) return
    throw new HookError(`there are both ${hook} and ${basename(chained)}: merge them into the first`)
  }
  try {
    fs.linkSync(hook, chained)
  } catch {
    // Not every file system has hard links, and not every user may link another user's file.
    fs.renameSync(hook, chained)
  }
}

/** Makes the notes directory: a user who may write the refs may write the notes. */
async function makeNotes({ commonDir, notes }: HookPlaces): Promise<void> {
  const refs = fs.statSync(join(commonDir, 'refs'))
  await ensureDir(notes)
  if (process.getuid?.() === 0) fs.chownSync(notes, refs.uid, refs.gid)
  fs.chmodSync(notes, refs.mode & 0o7777)
}
