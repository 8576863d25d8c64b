import { Option as Flag, type Command } from 'commander'
import { environmentName, options, type Option, type Settings } from '../config/options.js'
import { meant, readEnvironment, readFile, readFlags, resolveSettings } from '../config/settings.js'

/** What the command line said of settings. */
export type Flags = Readonly<Record<string, unknown>>

/** Lets a command take every setting as a flag, and a file with any of them. */
export function addSettingFlags(command: Command): Command {
  command.option('--config <FILE>', 'TOML file with any of these settings (REFSTREAM_CONFIG)')
  for (const option of options) {
    const off = isSwitch(option) ? `; --no-${option.name} turns it off` : ''
    const description = `${option.help} (${environmentName(option)}; default: ${option.defaultText}${off})`
    const flag = new Flag(`--${option.name}${'value' in option ? ` <${option.value}>` : ''}`, description)
    // It may have a value, after `=`; what follows it on the command line is none, see `parseFlags`.
    if (isSwitch(option)) flag.optional = true
    command.addOption(flag)
  }
  return command
}

const isSwitch = (option: Option): boolean => option.value === undefined

const switches = new Set(options.filter(isSwitch).map(({ name }) => `--${name}`))
const valued = new Set([
  '--config',
  ...options.filter((option) => !isSwitch(option)).map(({ name }) => `--${name}`),
])
const known = [...valued, ...switches]

/** A command line as Commander takes it, and what is wrong with it. */
export interface ParsedFlags {
  /** Each switch with its value: `--etag=true`. What is among the mistakes is left out. */
  readonly args: readonly string[]
  readonly mistakes: readonly string[]
}

/**
 * Checks the flags of a command that takes settings. Commander would stop at the first mistake, and would take an
 * argument for the value of the switch before it.
 * @param takesArguments are there arguments besides flags?
 */
export function parseFlags(given: readonly string[], takesArguments: boolean): ParsedFlags {
  const args: string[] = []
  const mistakes: string[] = []
  for (let index = 0; index < given.length; index++) {
    const arg = given[index]!
    const next = given[index + 1]
    const [name, value] = split(arg)
    if (arg === '--') {
      args.push(...given.slice(index))
      break
    }
    if (arg === '--help' || arg === '-h') return { args: [arg], mistakes: [] }
    if (switches.has(name)) args.push(value === undefined ? `${name}=true` : arg)
    else if (switches.has(name.replace('--no-', '--')) && value === undefined) {
      args.push(`${name.replace('--no-', '--')}=false`)
    } else if (valued.has(name)) {
      if (value !== undefined) args.push(arg)
      else if (next === undefined || known.includes(split(next)[0])) mistakes.push(`${name} needs a value`)
      else args.push(`${name}=${given[++index]}`)
    } else if (arg.startsWith('-') && arg !== '-') {
      mistakes.push(
        `unknown flag ${name}${meant(
          name.replace(/^-+/, ''),
          known.map((flag) => flag.slice(2)),
          '--',
        )}`,
      )
      // What follows is its value, most likely.
      if (value === undefined && next !== undefined && !next.startsWith('-')) index++
    } else if (takesArguments) args.push(arg)
    else
      mistakes.push(`${JSON.stringify(arg)} is no flag; a switch is turned off by --no-NAME or --NAME=false`)
  }
  return { args, mistakes }
}

/** `--name=value` in its two parts. */
function split(arg: string): [name: string, value?: string] {
  const at = arg.indexOf('=')
  return at < 0 ? [arg] : [arg.slice(0, at), arg.slice(at + 1)]
}

/**
 * The settings of a command: flags beat the environment, which beats the file.
 * @param mistakes in the flags
 * @param unknown told of REFSTREAM_ variables that are no settings, and what may have been meant
 * @throws ConfigError with all mistakes
 */
export async function readSettings(
  flags: Flags,
  mistakes: readonly string[] = [],
  unknown?: (name: string, hint: string) => void,
): Promise<Settings> {
  const environment = readEnvironment(process.env, unknown)
  const file = (flags['config'] as string | undefined) ?? process.env['REFSTREAM_CONFIG']
  return resolveSettings(readFlags(flags, mistakes), environment, ...(file ? [await readFile(file)] : []))
}
