import { checkSettings } from '../assembly/preflight.js'
import { checkFile } from '../config/settings.js'

/** `refstream config check`. @throws ConfigError if `serve` would refuse the file */
export async function checkConfig(path: string): Promise<void> {
  const { settings, hasRoot } = await checkFile(path)
  checkSettings(settings, process.env, { hasRoot })
  process.stdout.write(`${path}: ok\n`)
}
