import { Help, type Argument, type Command, type Option as Flag } from 'commander'
import { choicesOf } from '../../config/options/choices.js'
import { options } from '../../config/options/options.js'

/** What may follow a flag, or stand as an argument: a path, one of some words, or text that a shell cannot know. */
export type ValueWords = 'file' | 'directory' | 'text' | readonly string[]

/** One flag with all its spellings, such as -h and --help. */
export interface FlagWords {
  readonly names: readonly string[]
  readonly help: string
  /** Placeholder of the value in the help; empty for a switch. */
  readonly placeholder: string
  /** undefined: a switch. */
  readonly value: ValueWords | undefined
}

/** One command, and what may be written after it. */
export interface CommandWords {
  /** Its name after those of the commands that it belongs to; none for the program itself. */
  readonly path: readonly string[]
  readonly help: string
  readonly commands: readonly { readonly name: string; readonly help: string }[]
  readonly flags: readonly FlagWords[]
  /** undefined: it takes no arguments. */
  readonly argument: ValueWords | undefined
  /** Placeholder of the arguments, such as `FILE`, or `[REPO...]` if they may be left out; empty if there are none. */
  readonly placeholder: string
}

const help = new Help()

/** Returns a program and all its commands, parents first. */
export function wordsOf(command: Command, path: readonly string[] = []): readonly CommandWords[] {
  const below = help.visibleCommands(command)
  const [argument] = command.registeredArguments
  const own: CommandWords = {
    path,
    help: command.description(),
    commands: below.map((each) => ({ name: each.name(), help: each.description() })),
    flags: help.visibleOptions(command).flatMap(flagWords),
    argument: argument && valueWords(argument.argChoices, argument.name()),
    placeholder: argument ? placeholderOf(argument) : '',
  }
  return [own, ...below.flatMap((each) => wordsOf(each, [...path, each.name()]))]
}

function flagWords(flag: Flag): FlagWords[] {
  const names = [flag.short, flag.long].filter((name) => name !== undefined)
  const setting = options.find(({ name }) => flag.long === `--${name}`)
  const words = { names, help: flag.description, placeholder: '', value: undefined }
  if (flag.required) {
    const placeholder = /<(.*)>/.exec(flag.flags)?.[1] ?? ''
    const choices = setting ? choicesOf(setting) : flag.argChoices
    return [{ ...words, placeholder, value: valueWords(choices, placeholder) }]
  }
  if (setting === undefined) return [words]
  return [words, { ...words, names: [`--no-${setting.name}`], help: `turn off --${setting.name}` }]
}

/** Repositories are directories, but relative to a root that a shell does not know: files are offered for them too. */
const kinds: Readonly<Record<string, ValueWords>> = {
  DIR: 'directory',
  FILE: 'file',
  PATH: 'file',
  REPO: 'file',
  COMMAND: 'file',
}

const valueWords = (choices: readonly string[] | undefined, placeholder: string): ValueWords =>
  choices ?? kinds[placeholder] ?? 'text'

function placeholderOf(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`
  return argument.required ? name : `[${name}]`
}
