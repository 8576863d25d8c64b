import { readSettingFile } from '../../config/files.js'
import { ConfigError } from '../../config/values/config-error.js'

/** Reads the secret that signs webhooks; undefined: none is configured. @throws ConfigError */
export function readWebhookSecret(path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    const [line = ''] = readSettingFile(path).toString().split(/\r?\n/, 1)
    if (line !== '') return line
  } catch (error) {
    throw new ConfigError(`--webhook-secret-file: cannot read ${path}: ${(error as Error).message}`)
  }
  throw new ConfigError(`--webhook-secret-file: the first line of ${path} is empty; put a secret there`)
}
