import t from 'tap'
import fc from 'fast-check'
import picomatch from 'picomatch'
import { BadGlob, parseGlob } from '../../../src/config/values/glob.js'

/** Makes a function that tells whether a glob is for a path. */
function pathMatcher(glob: string): (path: string) => boolean {
  const { negated, fits } = parseGlob(glob)
  return (path) => fits(path) !== negated
}

t.test('paths that globs match, and paths that they do not', async (t) => {
  const rows: [glob: string, yes: string[], no: string[]][] = [
    ['a.git', ['a.git'], ['a', 'aXgit', 'x/a.git', 'a.git/x']],
    ['*', ['a', '.a', 'a\nb.git'], ['a/b', '.']],
    ['**', ['a', 'a/b', '.', '\n', 'a\n/b'], []],
    ['pub/**', ['pub', 'pub/a', 'pub/a/b', 'pub/a\n', 'pub/\r'], ['public', 'x/pub']],
    ['**/x', ['x', 'a/x', 'a/b/x', 'a\nb/x'], ['ax', 'x/a']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['a/bb', 'ab']],
    ['a**', ['a', 'ab'], ['a/b']],
    ['*/**', ['a/b', 'a/b/c'], ['a']],
    ['a*/**', ['ab/c'], ['ab']],
    ['?.git', ['a.git', '\n.git', '😀.git'], ['.git', 'ab.git']],
    ['[a-c]x[!0-9]', ['ax_', 'cx\n'], ['dx_', 'ax5', 'ax', 'ax/']],
    ['[^a]', ['b', '!', '^'], ['a']],
    ['[]-]', [']', '-'], ['a']],
    ['[\\]a]', [']', 'a'], ['\\']],
    ['{a,b/{c,d}}/*', ['a/x', 'b/c/x', 'b/d/x'], ['b/x', 'c/x']],
    ['x{,.git}', ['x', 'x.git'], ['x.']],
    ['{a}', ['{a}'], ['a']],
    ['[x', ['[x'], ['x']],
    ['a\\*', ['a*'], ['ab']],
    ['\\(a\\)\\"', ['(a)"'], ['a']],
    ['\\!a', ['!a'], ['b']],
    ['!a/**', ['b', '.'], ['a', 'a/b']],
    ['!!a', ['a'], ['b']],
    ['./a', ['a'], []],
    ['a.b+c|d^$', ['a.b+c|d^$'], ['aab']],
    ['caf?/😀*', ['café/😀x'], ['caf/😀x']],
  ]
  for (const [glob, yes, no] of rows) {
    const matches = pathMatcher(glob)
    for (const path of yes) t.ok(matches(path), JSON.stringify([glob, path]))
    for (const path of no) t.notOk(matches(path), `not ${JSON.stringify([glob, path])}`)
  }
})

t.test('an invalid glob is rejected with a reason', async (t) => {
  for (const glob of [
    '!(a)',
    '@(a|b)',
    'a)',
    '"a"',
    '[a/b]',
    '[[:alpha:]]',
    '[z-a]',
    'r{1..9}',
    '{a,b}'.repeat(7),
  ]) {
    t.throws(() => pathMatcher(glob), BadGlob, glob)
  }
  t.throws(() => pathMatcher('+(a)'), { message: /for the character itself/ })
  pathMatcher('{a,b}'.repeat(6))
})

t.test('globs match as in picomatch, which has a larger syntax', async () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', '.', 'é', '-'), minLength: 1, maxLength: 3 })
  const piece = fc.oneof(
    { weight: 4, arbitrary: word },
    { weight: 3, arbitrary: fc.constantFrom('*', '?', '[ab]', '[^a]', '[a-b]', '\\*') },
    { weight: 1, arbitrary: fc.tuple(word, word).map(([one, two]) => `{${one},${two}}`) },
  )
  const name = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join(''))
  const glob = fc
    .array(fc.oneof({ weight: 4, arbitrary: name }, { weight: 1, arbitrary: fc.constant('**') }), {
      minLength: 1,
      maxLength: 4,
    })
    .map((names) => names.join('/'))
    // Two dots in braces are a range in picomatch, several stars in a row are not the same everywhere.
    .filter((each) => !each.includes('..') && each.split('{').length < 7)
    .filter(
      (each) => !each.includes('**/**') && !/\*\*./.test(each.replaceAll('/**', '').replace(/^\*\*\//, '')),
    )
  const path = fc
    .array(fc.string({ unit: fc.constantFrom('a', 'b', '.', 'é', '-', '*'), minLength: 1, maxLength: 5 }), {
      minLength: 1,
      maxLength: 5,
    })
    .filter((names) => !names.some((each) => /^\.{1,2}$/.test(each)))
    .map((names) => names.join('/'))
  fc.assert(
    fc.property(glob, path, (glob, path) => {
      return pathMatcher(glob)(path) === picomatch(glob, { dot: true })(path)
    }),
    { numRuns: 2000 },
  )
})

t.test('the time for a long path that nearly matches is linear in its length', async (t) => {
  // Made so that a matcher that tries all ways would not end.
  const [stars, names] = ['*a'.repeat(30) + 'b', '**/a/'.repeat(30) + 'b']
  for (const [glob, path] of [
    [stars, 'a'.repeat(3900)],
    [names, 'a/'.repeat(1950) + 'a'],
    [`{${stars},${names}}`, 'a'.repeat(1900) + '/a'.repeat(1000)],
    ['!' + stars, 'a'.repeat(3900)],
  ] as const) {
    const matches = pathMatcher(glob)
    t.equal(matches(path), glob.startsWith('!'))
    t.equal(matches(`${path}${path.includes('/') ? '/b' : 'b'}`), !glob.startsWith('!'))
  }
})
