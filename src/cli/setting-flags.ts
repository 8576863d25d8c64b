import type { Command } from 'commander'
import { environmentName, options, type Settings } from '../config/options.js'
import { readEnvironment, readFile, readFlags, resolveSettings } from '../config/settings.js'

export type Flags = Readonly<Record<string, unknown>>

/** Lets a command take every setting as a flag, and a file with any of them. */
export function addSettingFlags(command: Command): Command {
  command.option('--config <FILE>', 'TOML file with any of these settings (REFSTREAM_CONFIG)')
  for (const option of options) {
    // A switch may be turned off too, against what the file says.
    const flags = `--${option.name} ${'value' in option ? `<${option.value}>` : '[true|false]'}`
    const description = `${option.help} (${environmentName(option)}; default: ${option.defaultText})`
    command.option(flags, description)
  }
  return command
}

/**
 * The settings of a command: flags beat the environment, which beats the file.
 * @param unknown told of REFSTREAM_ variables that are no settings
 * @throws ConfigError
 */
export async function readSettings(flags: Flags, unknown?: (name: string) => void): Promise<Settings> {
  const environment = readEnvironment(process.env, unknown)
  const file = (flags['config'] as string | undefined) ?? process.env['REFSTREAM_CONFIG']
  return resolveSettings(readFlags(flags), environment, ...(file ? [await readFile(file)] : []))
}
