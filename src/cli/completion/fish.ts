import type { CommandWords, FlagWords, ValueWords } from './words.js'

/** Returns a script that completes the command `refstream` in fish. */
export function fishCompletion(commands: readonly CommandWords[]): string {
  const paths = commands.filter(({ path }) => path.length > 0).map(({ path }) => `'${pathText(path)}'`)
  return `# Completes refstream in fish: refstream completion fish | source
function __refstream_at --description 'Succeeds if this command is the one that is being completed'
    set -l command
    for word in (commandline -opc)[2..]
        switch "$command $word"
            case ${paths.join(' ')}
                set command "$command $word"
        end
    end
    test "$command" = "$argv[1]"
end
complete -c refstream -f
${commands.flatMap(commandLines).join('\n')}
`
}

const pathText = (path: readonly string[]): string => path.map((name) => ` ${name}`).join('')

function commandLines({ path, commands, flags, argument }: CommandWords): string[] {
  const start = `complete -c refstream -n "__refstream_at '${pathText(path)}'"`
  return [
    ...commands.map(({ name, help }) => `${start} -a ${name} -d ${quoted(help)}`),
    ...flags.map((flag) => `${start} ${flagWords(flag)}`),
    ...(argument === undefined || argument === 'text' ? [] : [`${start} ${argumentWords(argument)}`]),
  ]
}

function flagWords({ names, help, value }: FlagWords): string {
  const spelled = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
  return [...spelled, ...(value === undefined ? [] : [valueWords(value)]), '-d', quoted(help)].join(' ')
}

function valueWords(value: ValueWords): string {
  if (value === 'text') return '-x'
  return value === 'file' ? '-r -F' : `-x ${argumentWords(value)}`
}

function argumentWords(value: ValueWords): string {
  if (value === 'file') return '-F'
  return `-a ${value === 'directory' ? "'(__fish_complete_directories)'" : quoted([value].flat().join(' '))}`
}

/** fish knows two escapes inside single quotes. */
const quoted = (text: string): string => `'${text.replaceAll(/['\\]/g, '\\$&')}'`
