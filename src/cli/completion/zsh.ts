import type { CommandWords, FlagWords, ValueWords } from './words.js'

/** Returns a script that completes the command `refstream` in zsh, by being sourced or as a file `_refstream` in fpath. */
export function zshCompletion(commands: readonly CommandWords[]): string {
  return `#compdef refstream
# Completes refstream in zsh: source <(refstream completion zsh), after compinit
${commands.map(commandFunction).join('\n')}
if [[ $funcstack[1] == _refstream ]]; then
  _refstream "$@"
else
  compdef _refstream refstream
fi
`
}

const functionName = (path: readonly string[]): string => ['_refstream', ...path].join('_')

function commandFunction({ path, commands, flags, argument }: CommandWords): string {
  const specs = flags.flatMap(flagSpecs)
  if (commands.length > 0) {
    const words = commands.map(({ name, help }) => quoted(`${name}:${help}`))
    const below = commands.map(({ name }) => `      ${name}) ${functionName([...path, name])} ;;`)
    return `${functionName(path)}() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  _arguments -C ${[...specs, quoted('1: :->command'), quoted('*:: :->rest')].join(' \\\n    ')}
  case $state in
  command)
    local -a commands=(
      ${words.join('\n      ')}
    )
    _describe command commands
    ;;
  rest)
    case $line[1] in
${below.join('\n')}
    esac
    ;;
  esac
}`
  }
  const rest = argument === undefined ? [] : [quoted(`*: :${actionOf(argument)}`)]
  return `${functionName(path)}() {
  _arguments ${[...specs, ...rest].join(' \\\n    ')}
}`
}

function flagSpecs({ names, help, placeholder, value }: FlagWords): string[] {
  const explained = `[${help.replaceAll(/[\\[\]]/g, '\\$&')}]`
  return names.map((name) =>
    value === undefined
      ? quoted(`${name}${explained}`)
      : quoted(`*${name}=${explained}:${placeholder}:${actionOf(value)}`),
  )
}

function actionOf(value: ValueWords): string {
  if (value === 'file') return '_files'
  if (value === 'directory') return '_files -/'
  // A space: there is a value, and nothing to offer for it.
  return value === 'text' ? ' ' : `(${value.join(' ')})`
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
