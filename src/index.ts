/**
 * refstream as a library: the sidecar that `refstream serve` runs, started from code.
 *
 *     const sidecar = await startServer({ root: '/srv/git', listen: '127.0.0.1:0' })
 *     console.log(sidecar.url)
 *     await sidecar.close()
 */
import type { options, Settings } from './config/options/options.js'
import { readFlags, resolveSettings } from './config/settings.js'
import { startSidecar, type Sidecar } from './assembly/sidecar.js'
import { createLog, type Log } from './telemetry/log.js'

export { ConfigError } from './config/values/config-error.js'
export type { Settings, Sidecar, Log }

/** Settings in the form of flags (`'127.0.0.1:0'`, `'64MiB'`), by the keys of `Settings`; see docs/settings.md. */
export type ServerOptions = {
  readonly [key in (typeof options)[number]['key']]?: string | number | boolean
} & ({ readonly root: string } | { readonly upstream: string })

/**
 * Starts a sidecar in this process.
 * @param log silent if left out
 * @throws ConfigError if a setting cannot be used, with all mistakes
 */
export async function startServer(options: ServerOptions, log: Log = createLog('silent')): Promise<Sidecar> {
  return startSidecar(resolveSettings(readFlags(options)), log)
}
