import { ConfigError } from './values/config-error.js'
import { readSettingFile } from './files.js'
import { nearest } from './nearest.js'
import { environmentName, options, type Option, type Settings } from './options/options.js'
import { linesOfKeys } from './toml-lines.js'

/**
 * Runs checks one after another, all of them even if some fail.
 * @returns what each has returned, or resolved with
 * @throws ConfigError with the mistakes of all checks that threw one
 */
export async function checkAll<const C extends readonly (() => unknown)[]>(
  checks: C,
): Promise<{ [K in keyof C]: Awaited<ReturnType<C[K]>> }> {
  const mistakes: string[] = []
  const results: unknown[] = []
  for (const check of checks) {
    try {
      results.push(await check())
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      mistakes.push(...error.mistakes)
    }
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return results as { [K in keyof C]: Awaited<ReturnType<C[K]>> }
}

/** The settings from one place (flags, environment, file), and the mistakes in it; `resolveSettings` merges several. */
export interface Source {
  readonly values: ReadonlyMap<Option, { readonly value: unknown; readonly from: string }>
  readonly mistakes: readonly string[]
  /** Set if it could not be read at all: then no setting can be called missing. */
  readonly unread?: true
}

const names = options.map((option) => option.name)

/** Takes settings from flags, by option key; undefined: the flag is not given. */
export function readFlags(
  flags: Readonly<Record<string, unknown>>,
  mistakes: readonly string[] = [],
): Source {
  const values = new Map()
  for (const option of options) {
    const value = flags[option.key]
    if (value !== undefined) values.set(option, { value, from: `--${option.name}` })
  }
  return { values, mistakes }
}

const prefix = 'REFSTREAM_'
/** Variables of commands that are not settings. */
const notSettings = new Set(['REFSTREAM_CONFIG', 'REFSTREAM_ADMIN_TOKEN'])

/**
 * Takes settings from REFSTREAM_… variables. Unknown ones are not mistakes: Kubernetes sets REFSTREAM_PORT and the like in
 * every pod in the namespace of a service called refstream.
 * @param unknown called with each unknown variable, and a hint at the one that may have been meant
 */
export function readEnvironment(
  environment: NodeJS.ProcessEnv,
  unknown: (name: string, hint: string) => void = () => {},
): Source {
  const values = new Map()
  const known = new Map<string, Option>(options.map((option) => [environmentName(option), option]))
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(prefix) || notSettings.has(name)) continue
    const option = known.get(name)
    if (option) values.set(option, { value, from: name })
    else {
      const bare = [...known.keys()].map((each) => each.slice(prefix.length))
      unknown(name, meant(name.slice(prefix.length), bare, prefix))
    }
  }
  return { values, mistakes: [] }
}

/** Takes settings from a TOML file. Never rejects: errors are among the mistakes. */
export async function readFile(path: string): Promise<Source> {
  const values = new Map()
  let text: string
  try {
    text = readSettingFile(path).toString()
  } catch (error) {
    const mistake = `config: cannot read ${path}: ${(error as Error).message}`
    return { values, mistakes: [mistake], unread: true }
  }
  // Loaded on demand: most sidecars start without a file.
  const { parse, TomlError } = await import('smol-toml')
  let table: Record<string, unknown>
  try {
    table = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [reason = ''] = error.message.split('\n', 1)
    const mistake = `${path}:${error.line}:${error.column}: not TOML: ${reason.replace(/^Invalid TOML document: /, '')}`
    return { values, mistakes: [mistake], unread: true }
  }
  const lines = linesOfKeys(text, parse)
  const place = (name: string): string => (lines.has(name) ? `${path}:${lines.get(name)}` : path)
  const mistakes: string[] = []
  for (const [name, value] of Object.entries(table)) {
    const option = options.find((candidate) => candidate.name === name)
    if (option) values.set(option, { value, from: `${place(name)}: ${name}` })
    else mistakes.push(`${place(name)}: unknown key ${shown(name)} ${explainUnknown(name, value)}`)
  }
  const last = mistakes.pop()
  if (last !== undefined) mistakes.push(`${last}; allowed keys: ${names.join(', ')}`)
  return { values, mistakes }
}

function explainUnknown(name: string, value: unknown): string {
  const isTable =
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
  return isTable
    ? '(a table; settings are keys outside of tables)'
    : `(value ${show(value)})${meant(name, names)}`
}

/** Returns `; did you mean …?`, or an empty string if no name is similar. */
export function meant(given: string, among: readonly string[], prefix = ''): string {
  const name = nearest(given, among)
  return name === undefined ? '' : `; did you mean ${prefix}${name}?`
}

/**
 * Merges sources: the first that has a setting wins.
 * @throws ConfigError with the mistakes of all sources: the place, the value, and the allowed values
 */
export function resolveSettings(...sources: Source[]): Settings {
  const settings: Record<string, unknown> = {}
  const mistakes = sources.flatMap((source) => source.mistakes)
  const unread = sources.some((source) => source.unread)
  if (!unread && !sources.some(hasOrigin)) {
    mistakes.push('neither --root nor --upstream is given; give --root DIR, --upstream URL, or both')
  }
  for (const option of options) {
    const given = sources.map(({ values }) => values.get(option)).find((value) => value !== undefined)
    const result = option.schema.safeParse(given?.value)
    if (result.success) settings[option.key] = result.data
    else if (given) {
      const issue = result.error.issues[0]
      const item = badItem(given.value, issue?.path[0])
      const reason = issue?.code === 'custom' && issue.params?.['isReason'] ? `: ${issue.message}` : ''
      mistakes.push(
        `${given.from}: bad value ${show(given.value)}${item}${reason}; allowed: ${option.allowed}`,
      )
    }
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return settings as unknown as Settings
}

const optionOf = (key: Option['key']): Option => options.find((option) => option.key === key) as Option
const origins = [optionOf('root'), optionOf('upstream')]
const hasOrigin = ({ values }: Source): boolean => origins.some((option) => values.has(option))

/**
 * Checks the keys and values of a file. It may leave both the root and the upstream to the command line: then there are
 * placeholders in the settings, for those that its other settings need.
 * @throws ConfigError
 */
export async function checkFile(
  path: string,
): Promise<{ readonly settings: Settings; readonly hasOrigin: boolean }> {
  const source = await readFile(path)
  if (hasOrigin(source)) return { settings: resolveSettings(source), hasOrigin: true }
  const values = new Map([[optionOf('root'), { value: '/', from: '' }]])
  if ([...source.values.keys()].some(({ group }) => group === 'Upstream')) {
    values.set(optionOf('upstream'), { value: 'https://upstream.invalid', from: '' })
  }
  return { settings: resolveSettings(source, { values, mistakes: [] }), hasOrigin: false }
}

/** Names the item of a list that is not valid. */
function badItem(value: unknown, index: PropertyKey | undefined): string {
  if (typeof index !== 'number') return ''
  const items: unknown[] = typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : []
  const item = items[index]
  if (items.length < 2) return ''
  // A password may hold the comma that has split it from its URL.
  if (credentials.test(JSON.stringify(value))) return ` (item ${index + 1})`
  return ` (item ${index + 1}: ${show(typeof item === 'string' ? item.trim() : item)})`
}

/** Most characters of a value that are shown. */
const shownMax = 200

/** What may be a user name and password in a URL. */
const credentials = /:\/\/[^\s"]*@/

/** Writes a value on one line, without what may be credentials in a URL. */
function show(value: unknown): string {
  const json = typeof value === 'bigint' || typeof value === 'number' ? String(value) : JSON.stringify(value)
  const text = json.replace(new RegExp(credentials, 'g'), '://…@')
  return text.length > shownMax ? `${text.slice(0, shownMax)}…` : text
}

/** Writes a key on one line. */
const shown = (name: string): string => (/^[\w-]+$/.test(name) ? name : show(name))
