import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { readSettingFile } from './files.js'
import { ConfigError } from './values/config-error.js'

/** Returns the text of a file that an option names. @throws ConfigError that names the option */
export function readText(option: string, path: string): string {
  try {
    return readSettingFile(path).toString()
  } catch (error) {
    throw new ConfigError(`--${option}: ${(error as Error).message}`, { cause: error })
  }
}

/** @param options names of the options, for the error @throws ConfigError if TLS cannot use these certificates and keys */
export function checkPem(options: string, pem: SecureContextOptions): void {
  try {
    createSecureContext(pem)
  } catch (error) {
    throw new ConfigError(`${options}: not usable PEM: ${(error as Error).message}`, { cause: error })
  }
}
