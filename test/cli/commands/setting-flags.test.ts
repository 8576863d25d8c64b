import t from 'tap'
import fc from 'fast-check'
import { Command } from 'commander'
import { addSettingFlags, parseFlags } from '../../../src/cli/commands/setting-flags.js'
import { optionGroups, options, type Option } from '../../../src/config/options/options.js'

const parse = (...given: string[]) => parseFlags(given, true)
const switches = options.filter((option: Option) => option.value === undefined).map(({ name }) => name)
const valued = options.filter((option: Option) => option.value !== undefined).map(({ name }) => name)

t.test('switches take their value after =, or none', async (t) => {
  t.same(parse('--etag', '--no-export-all', '--grpc-reflection=false', 'a.git'), {
    args: ['--etag=true', '--export-all=false', '--grpc-reflection=false', 'a.git'],
    mistakes: [],
  })
  t.same(parse('--', '--etag', '--nonsense').args, ['--', '--etag', '--nonsense'])
  t.same(parse('--listen', '-x', '--config', 'f').args, ['--listen=-x', '--config=f'])
})

t.test('an argument between flags is never taken for the value of a flag', async (t) => {
  const flag = fc.oneof(
    fc.constantFrom(...switches).map((name) => [`--${name}`]),
    fc.constantFrom(...switches).map((name) => [`--no-${name}`]),
    fc.constantFrom(...switches).map((name) => [`--${name}=false`]),
    fc
      .tuple(fc.constantFrom(...valued), fc.constantFrom('x', 'true', 'a b', '-1'))
      .map(([name, value]) => [`--${name}`, value]),
    fc.constantFrom(...valued).map((name) => [`--${name}=a=b`]),
  )
  const argument = fc.constantFrom('rt.git', 'true', 'false', 'a/b', '-', 'x=y').map((text) => [text])
  fc.assert(
    fc.property(fc.array(fc.oneof(flag, argument), { maxLength: 12 }), (parts) => {
      const { args, mistakes } = parseFlags(parts.flat(), true)
      t.same(mistakes, [])
      const expected = parts.filter(([first]) => !first!.startsWith('--')).flat()
      t.same(
        args.filter((arg) => !arg.startsWith('--')),
        expected,
      )
      t.equal(args.length, parts.length)
    }),
    { numRuns: 300 },
  )
})

t.test('all mistakes are reported', async (t) => {
  const { mistakes } = parseFlags(
    ['--lisen', 'x', '--root', '--etag', '--zzzzz=1', '-x', 'stray', '--no-root', '--queue-max'],
    false,
  )
  t.match(mistakes, [
    'unknown flag --lisen; did you mean --listen?',
    '--root needs a value',
    /^unknown flag --zzzzz$/,
    /^unknown flag -x$/,
    /^unknown flag --no-root/,
    '--queue-max needs a value',
  ])
  t.match(parseFlags(['--etag', 'false'], false).mistakes, [/^"false" is not a flag; .*--no-NAME/])
  t.same(
    parseFlags(['--lisen', '--help'], false),
    { args: ['--help'], mistakes: [] },
    'help is printed in spite of a mistake',
  )
})

t.test('the help shows every flag under the heading of its group, and ends with the examples', async (t) => {
  const command = addSettingFlags(new Command('serve'), [['refstream serve --root /srv/git', 'an example']])
  let help = ''
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
  const sections = new Map(
    help.split('\n\n').map((section) => {
      const [heading = '', ...lines] = section.trimEnd().split('\n')
      return [heading, lines.flatMap((line) => /^ {2}(--\S+)/.exec(line)?.[1] ?? [])]
    }),
  )
  for (const group of optionGroups) {
    const named = options.filter((option) => option.group === group)
    t.not(named.length, 0, group)
    t.same(
      sections.get(`${group}:`)?.map((flag) => flag.replace('[no-]', '')),
      named.map(({ name }) => `--${name}`),
      group,
    )
  }
  t.same(
    [...sections.keys()].slice(1, 1 + optionGroups.length + 1),
    ['Options:', ...optionGroups.map((group) => `${group}:`)],
    'headings are in the order of the groups',
  )
  t.match(help, /--\[no-\]compression /, 'a switch that is on by default')
  t.match(help, /--etag /, 'a switch that is off by default')
  t.match(help, /\n\nExamples:\n {2}# an example\n {2}refstream serve --root \/srv\/git\n*$/)
})
