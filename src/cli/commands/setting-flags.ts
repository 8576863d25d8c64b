import { Option as Flag, type Command } from 'commander'
import { flagText, isSwitch, optionGroups, options, type Settings } from '../../config/options/options.js'
import { meant, readEnvironment, readFile, readFlags, resolveSettings } from '../../config/settings.js'

/** Values of the flags that the command line gave, by option key. */
export type Flags = Readonly<Record<string, unknown>>

/** Whole command lines, each with what it does. */
export type Examples = readonly (readonly [commandLine: string, purpose: string])[]

/**
 * Adds every setting to a command as a flag, under the headings of `optionGroups`, and `--config` for a file of settings.
 * @param examples for the end of the help
 */
export function addSettingFlags(command: Command, examples: Examples = []): Command {
  command.option('--config <FILE>', 'TOML file with any of these settings (REFSTREAM_CONFIG)')
  for (const group of optionGroups) {
    for (const option of options.filter((each) => each.group === group)) {
      const description = `${option.help} (default: ${option.defaultText})`
      const term = flagText(option)
      const flag = new Flag(term.replace('[no-]', ''), description).helpGroup(`${group}:`)
      // Commander then accepts `--NAME=false`; `parseFlags` keeps the next argument from becoming the value.
      if (isSwitch(option)) flag.optional = true
      helpTerms.set(flag, term)
      command.addOption(flag)
    }
  }
  return command
    .configureHelp({ optionTerm: (flag) => helpTerms.get(flag) ?? flag.flags })
    .addHelpText('after', helpEnding(examples))
}

/** Flags as the help shows them, where Commander's own term is another. */
const helpTerms = new WeakMap<Flag, string>()

const helpEnding = (examples: Examples): string =>
  [
    '',
    'Every flag is also an environment variable (--git is REFSTREAM_GIT) and a key of the TOML file (git = "…").',
    'Flags override the environment, which overrides the file. --no-NAME turns a switch off. Sizes are bytes, or have a unit (64MiB); times are seconds.',
    ...(examples.length > 0 ? ['', 'Examples:'] : []),
    ...examples.flatMap(([commandLine, purpose]) => [`  # ${purpose}`, `  ${commandLine}`]),
  ].join('\n')

const switches = new Set(options.filter(isSwitch).map(({ name }) => `--${name}`))
const valuedSettings = [
  '--config',
  ...options.filter((option) => !isSwitch(option)).map(({ name }) => `--${name}`),
]

/** A command line in the form that Commander takes, and the mistakes in it. */
export interface ParsedFlags {
  /** Every switch has a value: `--etag=true`. Arguments with mistakes are left out. */
  readonly args: readonly string[]
  readonly mistakes: readonly string[]
}

/**
 * Checks the flags of a command that takes settings. Commander alone would stop at the first mistake, and would take the
 * argument after a switch for its value.
 * @param takesArguments whether the command has arguments besides flags
 * @param own further flags of the command that take a value, such as `--url`
 */
export function parseFlags(
  given: readonly string[],
  takesArguments: boolean,
  own: readonly string[] = [],
): ParsedFlags {
  const valued = new Set([...valuedSettings, ...own])
  const known = [...valued, ...switches]
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
      // The next argument is most likely the value of the unknown flag: no second mistake is reported for it.
      if (value === undefined && next !== undefined && !next.startsWith('-')) index++
    } else if (takesArguments) args.push(arg)
    else
      mistakes.push(`${JSON.stringify(arg)} is not a flag; to turn a switch off: --no-NAME or --NAME=false`)
  }
  return { args, mistakes }
}

/** Splits `--name=value`. */
function split(arg: string): [name: string, value?: string] {
  const at = arg.indexOf('=')
  return at < 0 ? [arg] : [arg.slice(0, at), arg.slice(at + 1)]
}

/**
 * Returns the settings of a command: flags override the environment, which overrides the file.
 * @param mistakes those found in the flags
 * @param unknown called for each REFSTREAM_ variable that is not a setting, with a hint at a similar name
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
