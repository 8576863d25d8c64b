import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { Htpasswd } from '../access/passwords/htpasswd.js'
import { readRules } from '../access/rules.js'
import { Tokens } from '../access/tokens.js'
import { addressesOf, crossCheck } from '../config/cross-checks/cross-checks.js'
import type { Settings } from '../config/options/options.js'
import { ConfigError } from '../config/values/config-error.js'
import { checkAll } from '../config/settings.js'
import { readTlsMaterial } from '../server/tls-material.js'
import {
  findHostEnvironment,
  type FilesystemEvents,
  type HostEnvironment,
} from './environment/environment.js'
import { readUpstreamCredentials, tlsFilesOf, unusableFiles } from './credentials/credential-files.js'
import { readEngineCertificates, readFleetFiles } from './fleet/files.js'
import { checkTraces } from './traces.js'
import { readUpstreamPem } from './origins/upstream-pem.js'
import { readWebhookSecret } from './credentials/webhook-secret.js'

/**
 * Checks everything for which `serve` would refuse these settings, except ports and sockets that are in use. `serve`,
 * `doctor` and `config check` all call this first. Changes nothing.
 * @returns what was found on the way; the caller closes its helpers
 * @throws ConfigError with all mistakes
 */
export async function preflight(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  events: FilesystemEvents = {},
): Promise<HostEnvironment> {
  let host: HostEnvironment | undefined
  try {
    await checkAll([
      () => crossCheck(settings),
      async () => (host = await findHostEnvironment(settings, environment, events)),
      () => readWebhookSecret(settings.webhookSecretFile),
      () => readUpstreamPem(settings),
      ...fleetChecks(settings),
      () => checkTraces(settings),
      ...fileChecks(settings),
      ...socketChecks(settings),
    ])
    return host!
  } catch (error) {
    host?.helpers.close()
    throw error
  }
}

/** Reads the files of a fleet. */
const fleetChecks = (settings: Settings): (() => unknown)[] =>
  settings.fleet ? [() => readFleetFiles(settings), () => readEngineCertificates(settings)] : []

/** Reads the files that `openCredentialFiles` watches. */
function fileChecks(settings: Settings): (() => void)[] {
  const checks: (() => void)[] = []
  const add = (what: string, paths: readonly (string | undefined)[], read: () => unknown): void => {
    const check = (): void => {
      try {
        read()
      } catch (error) {
        throw unusableFiles(what, paths, error)
      }
    }
    checks.push(check)
  }
  const addFile = (what: string, path: string | undefined, read: (path: string) => unknown): void => {
    if (path !== undefined) add(what, [path], () => read(path))
  }
  const tls = tlsFilesOf(settings)
  if (tls) add('tls', Object.values(tls), () => readTlsMaterial(tls))
  addFile('admin-tokens', settings.adminTokenFile, (path) => Tokens.read(path))
  addFile('auth-tokens', settings.authTokens, (path) => Tokens.read(path))
  addFile('auth-htpasswd', settings.authHtpasswd, (path) => Htpasswd.read(path))
  addFile('access', settings.accessFile, (path) => readRules(path))
  addFile('upstream-credentials', settings.upstreamCredentialFile, (path) =>
    readUpstreamCredentials(settings, path),
  )
  return checks
}

function socketChecks(settings: Settings): (() => void)[] {
  return addressesOf(settings).flatMap(([option, address]) =>
    'path' in address ? [() => checkSocket(option, address.path)] : [],
  )
}

/** Fails where server/listen.ts would. A socket that exists may be in use, or left over, which `listen` finds out. */
function checkSocket(option: string, path: string): void {
  const mistake = (reason: string): ConfigError =>
    new ConfigError(`--${option}: cannot listen on unix:${path}: ${reason}`)
  const directory = dirname(path)
  try {
    if (!statSync(directory).isDirectory()) throw mistake(`${directory} is not a directory`)
    const existing = statSync(path, { throwIfNoEntry: false })
    if (existing && !existing.isSocket()) throw mistake('a file that is not a socket is there')
  } catch (error) {
    throw error instanceof ConfigError ? error : mistake((error as Error).message)
  }
}
