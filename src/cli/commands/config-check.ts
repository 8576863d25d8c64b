import { preflight } from '../../assembly/preflight.js'
import { checkFile } from '../../config/settings.js'

/** `refstream config check`. @throws ConfigError with all mistakes for which `serve` would refuse the file */
export async function checkConfig(path: string): Promise<void> {
  const { settings, hasOrigin } = await checkFile(path)
  // A file may leave the root to the command line; what depends on the root cannot be checked then.
  const checked = hasOrigin ? settings : { ...settings, gitalyStorages: [] }
  const { helpers } = await preflight(checked, process.env)
  helpers.close()
  process.stdout.write(`${path}: ok\n`)
}
