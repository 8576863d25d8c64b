import t from 'tap'
import fc from 'fast-check'
import { parseFlags } from '../../src/cli/setting-flags.js'
import { options, type Option } from '../../src/config/options.js'

const parse = (...given: string[]) => parseFlags(given, true)
const switches = options.filter((option: Option) => option.value === undefined).map(({ name }) => name)
const valued = options.filter((option: Option) => option.value !== undefined).map(({ name }) => name)

t.test('switches', async (t) => {
  t.same(parse('--etag', '--no-export-all', '--grpc-reflection=false', 'a.git'), {
    args: ['--etag=true', '--export-all=false', '--grpc-reflection=false', 'a.git'],
    mistakes: [],
  })
  t.same(parse('--', '--etag', '--nonsense').args, ['--', '--etag', '--nonsense'])
  t.same(parse('--listen', '-x', '--config', 'f').args, ['--listen=-x', '--config=f'])
})

t.test('an argument is never taken for anything else, wherever it stands', async (t) => {
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

t.test('all mistakes', async (t) => {
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
  t.match(parseFlags(['--etag', 'false'], false).mistakes, [/^"false" is no flag; .*--no-NAME/])
  t.same(parseFlags(['--lisen', '--help'], false), { args: ['--help'], mistakes: [] }, 'who asks is told')
})
