import type { CommandWords, FlagWords, ValueWords } from './words.js'

/** Returns a script that completes the command `refstream` in bash; bash 3.2 works too, and offers files in more places. */
export function bashCompletion(commands: readonly CommandWords[]): string {
  const paths = commands.filter(({ path }) => path.length > 0).map(({ path }) => `'${pathText(path)}'`)
  return `# Completes refstream in bash: source <(refstream completion bash)
_refstream() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= i
  COMPREPLY=()
  # bash takes --root=x for three words.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    # What follows is another command's.
    [[ \${COMP_WORDS[i]} != -- ]] || return 0
    case "$command \${COMP_WORDS[i]}" in
    ${paths.join(' | ')}) command+=" \${COMP_WORDS[i]}" ;;
    esac
  done
  case $command in
${commands.map(commandCase).join('\n')}
  esac
}
# Without words of its own, it leaves files to bash.
_refstream_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); _refstream_no_files; }
_refstream_no_files() { type compopt > /dev/null 2>&1 && compopt +o default +o bashdefault; }
_refstream_directories() { _refstream_no_files && compopt -o dirnames; }
complete -o bashdefault -o default -F _refstream refstream
`
}

const pathText = (path: readonly string[]): string => path.map((name) => ` ${name}`).join('')

function commandCase({ path, commands, flags, argument }: CommandWords): string {
  const names = flags.flatMap((flag) => flag.names)
  const values = groupByAction(flags.filter(({ value }) => value !== undefined))
  const words = commands.length > 0 ? commands.map(({ name }) => name) : names
  const otherwise = argument === undefined ? `_refstream_words '${words.join(' ')}'` : actionOf(argument)
  return `  '${pathText(path)}')
    case $prev in
${values.map(([action, flags]) => `    ${flags.join(' | ')}) ${action}; return ;;\n`).join('')}    esac
    if [[ $cur == -* ]]; then
      _refstream_words '${names.join(' ')}'
    else
      ${otherwise}
    fi
    ;;`
}

function groupByAction(flags: readonly FlagWords[]): (readonly [action: string, names: string[]])[] {
  const groups = new Map<string, string[]>()
  for (const { value, names } of flags) {
    const action = actionOf(value as ValueWords)
    groups.set(action, [...(groups.get(action) ?? []), ...names])
  }
  return [...groups]
}

function actionOf(value: ValueWords): string {
  if (value === 'file') return ':'
  if (value === 'directory') return '_refstream_directories'
  return value === 'text' ? '_refstream_no_files' : `_refstream_words '${value.join(' ')}'`
}
