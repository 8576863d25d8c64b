import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { Htpasswd } from '../access/htpasswd.js'
import { Rules } from '../access/rules.js'
import { Tokens } from '../access/tokens.js'
import { checkExposure } from '../config/cross-checks.js'
import type { Settings } from '../config/options.js'
import { checkAll, ConfigError } from '../config/settings.js'
import { RemotePath } from '../git/filesystem/path-guard.js'
import { checkGit, checkRoot } from './environment.js'
import { cannotUse } from './access-control.js'
import { readWebhookSecret } from './webhook-secret.js'
import { findStorages } from './storages.js'
import { readTls } from '../server/tls.js'

/**
 * Looks for all that keeps `serve` from starting with these settings, but for what others on this machine do meanwhile
 * (ports that are taken). Opens and changes nothing.
 * @param options.hasRoot is there a root yet? Without one, what depends on it is left out
 * @throws ConfigError with all mistakes
 */
export function checkSettings(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  { hasRoot }: { readonly hasRoot: boolean } = { hasRoot: true },
): void {
  checkAll([
    () => checkExposure(settings),
    ...(hasRoot ? [() => checkRootAndStorages(settings)] : []),
    () => checkGit(settings, environment),
    () => readWebhookSecret(settings.webhookSecretFile),
    ...filesOf(settings).map(
      ({ what, paths, read }) =>
        () =>
          readOr(what, paths, read),
    ),
    () => readOr('access', [], () => settings.access && new Rules(settings.access)),
    ...socketsOf(settings).map(
      ([option, path]) =>
        () =>
          checkSocket(option, path),
    ),
  ])
}

/** What is on a filesystem that may not answer is left to `findGround`, which does not wait for ever. */
function checkRootAndStorages({ root, gitalyStorages }: Settings): void {
  try {
    findStorages(checkRoot({ root }), gitalyStorages)
  } catch (error) {
    if (error instanceof RemotePath) return
    if (error instanceof ConfigError) throw error
    throw new ConfigError(`--root: cannot use ${JSON.stringify(root)}: ${(error as Error).message}`)
  }
}

interface NeededFiles {
  readonly what: string
  readonly paths: readonly (string | undefined)[]
  readonly read: () => unknown
}

/** What assembly/locks.ts opens. */
function filesOf(settings: Settings): NeededFiles[] {
  const { tlsCert: cert, tlsKey: key, tlsClientCa: clientCa, tlsClientNames: clientNames } = settings
  const { adminTokenFile, authTokens, authHtpasswd } = settings
  const files: NeededFiles[] = []
  if (cert !== undefined && key !== undefined) {
    const paths = [cert, key, clientCa, clientNames]
    files.push({ what: 'tls', paths, read: () => readTls({ cert, key, clientCa, clientNames }) })
  }
  const add = (what: string, path: string | undefined, read: (path: string) => unknown): void => {
    if (path !== undefined) files.push({ what, paths: [path], read: () => read(path) })
  }
  add('admin-tokens', adminTokenFile, (path) => Tokens.read(path))
  add('auth-tokens', authTokens, (path) => Tokens.read(path))
  add('auth-htpasswd', authHtpasswd, (path) => Htpasswd.read(path))
  return files
}

function readOr(what: string, paths: readonly (string | undefined)[], read: () => unknown): void {
  try {
    read()
  } catch (error) {
    throw cannotUse(what, paths, error)
  }
}

function socketsOf({ listen, admin = [], grpc }: Settings): [option: string, path: string][] {
  const all = { listen: [listen], admin, grpc: grpc ? [grpc] : [] }
  return Object.entries(all).flatMap(([option, list]) =>
    list.flatMap((address) => ('path' in address ? [[option, address.path] as [string, string]] : [])),
  )
}

/** As assembly/listen.ts refuses it: a socket that is there already may be one that a process has left. */
function checkSocket(option: string, path: string): void {
  const wrong = (reason: string): ConfigError =>
    new ConfigError(`--${option}: cannot listen on unix:${path}: ${reason}`)
  const directory = dirname(path)
  try {
    if (!statSync(directory).isDirectory()) throw wrong(`${directory} is no directory`)
    const there = statSync(path, { throwIfNoEntry: false })
    if (there && !there.isSocket()) throw wrong('there is something that is no socket')
  } catch (error) {
    throw error instanceof ConfigError ? error : wrong((error as Error).message)
  }
}
