import { readFileSync } from 'node:fs'
import { environmentName, options, type Option, type Settings } from './options.js'

/** A setting that cannot be used. The message is one line for the person who wrote it; commands exit 2 on it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

type Values = ReadonlyMap<Option, { readonly value: unknown; readonly from: string }>

/** What was said where; `read*` below make these, `resolveSettings` lays them over each other. */
export type Source = Values

const namesAllowed = options.map((option) => option.name).join(', ')

/** Flags as the command line gave them, by option key; undefined means not given. */
export function readFlags(flags: Readonly<Record<string, unknown>>): Source {
  const values = new Map()
  for (const option of options) {
    const value = flags[option.key]
    if (value !== undefined) values.set(option, { value, from: `--${option.name}` })
  }
  return values
}

/** Variables for the commands, apart from those of settings. */
const notSettings = new Set(['REFSTREAM_CONFIG', 'REFSTREAM_ADMIN_TOKEN'])

/**
 * REFSTREAM_… variables. Unknown ones are not refused: Kubernetes puts REFSTREAM_PORT and the like into every pod that
 * lives beside a service called refstream. They are handed to `unknown`, which may warn.
 */
export function readEnvironment(
  environment: NodeJS.ProcessEnv,
  unknown: (name: string) => void = () => {},
): Source {
  const values = new Map()
  const known = new Map<string, Option>(options.map((option) => [environmentName(option), option]))
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('REFSTREAM_') || notSettings.has(name)) continue
    const option = known.get(name)
    if (option) values.set(option, { value, from: name })
    else unknown(name)
  }
  return values
}

/** The TOML file's text. @throws ConfigError if it cannot be read or parsed, or has a key that is no setting. */
export async function readFile(path: string): Promise<Source> {
  const values = new Map()
  for (const [name, value] of Object.entries(await parseToml(path))) {
    const option = options.find((candidate) => candidate.name === name)
    if (!option) {
      throw new ConfigError(
        `${path}: unknown key ${name} (value ${show(value)}); allowed keys: ${namesAllowed}`,
      )
    }
    values.set(option, { value, from: `${path}: ${name}` })
  }
  return values
}

async function parseToml(path: string): Promise<Record<string, unknown>> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new ConfigError(`config: cannot read ${path}: ${(error as Error).message}`)
  }
  // Most sidecars start without a file, and without waiting for its parser.
  const { parse, TomlError } = await import('smol-toml')
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const reason = error.message.split('\n', 1)[0]
    throw new ConfigError(`${path}:${error.line}:${error.column}: not TOML: ${reason}`)
  }
}

/**
 * The first source that names a setting wins.
 * @throws ConfigError on the first bad value: where it was said, the value, and what is allowed
 */
export function resolveSettings(...sources: Source[]): Settings {
  const settings: Record<string, unknown> = {}
  for (const option of options) {
    const said = sources.map((source) => source.get(option)).find((value) => value !== undefined)
    const result = option.schema.safeParse(said?.value)
    if (!result.success) {
      if (!said) throw new ConfigError(`--${option.name} is missing; give ${option.allowed}`)
      throw new ConfigError(`${said.from}: bad value ${show(said.value)}; allowed: ${option.allowed}`)
    }
    settings[option.key] = result.data
  }
  return settings as unknown as Settings
}

/** Checks a file's keys and values alone; settings that it leaves out are no fault of it. @throws ConfigError */
export async function checkFile(path: string): Promise<void> {
  const source = await readFile(path)
  const root = options.find((option) => option.key === 'root') as Option
  resolveSettings(source, new Map([[root, { value: '.', from: '' }]]))
}

const show = (value: unknown): string => (typeof value === 'bigint' ? String(value) : JSON.stringify(value))
