import { readFileSync } from 'node:fs'
import { ConfigError } from '../../config/settings.js'

/** Returns the text of a file that an option names. @throws ConfigError that names the option */
export function readText(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ConfigError(`--${option}: ${(error as Error).message}`, { cause: error })
  }
}
