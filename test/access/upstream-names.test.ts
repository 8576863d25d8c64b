import t from 'tap'
import fc from 'fast-check'
import { Rules, type AccessRule } from '../../src/access/rules.js'
import { isSameUpstreamPath } from '../../src/access/upstream-names.js'
import { decodeRepositoryPath } from '../../src/git/state/repository-path.js'

/** Makes rules on reading: `GLOB=USER`. */
const rulesOf = (...rules: string[]): Rules =>
  new Rules(
    rules.map((rule): AccessRule => {
      const [glob = '', user = ''] = rule.split('=')
      return { glob, action: 'read', names: [user] }
    }),
  )

t.test('rules decide for every repository that a server may take a path for', async (t) => {
  const rows: [rules: string[], path: string, may: boolean][] = [
    [['team/x=bob'], 'team/x', true],
    [['team/x=bob'], 'team/x.git', true],
    [['team/x.git=bob'], 'team/x', true],
    [['team/x=bob'], 'team/x/.git', true],
    [['team/x=bob'], 'team/y', false],
    [['**=bob'], '', true],
    [['.=alice', '**=bob'], '', false],
    [['secret/**=alice', '**=bob'], 'public/x', true],
    [['secret/**=alice', '**=bob'], 'secret', false],
    [['secret/**=alice', '**=bob'], 'SECRET/x.git', false],
    [['Secret/**=alice', '**=bob'], 'secret/x', false],
    [['secret/x=alice', '**=bob'], 'secret/x.git.git', false],
    [['secret/x=alice', '**=bob'], 'secret/X.GIT', false],
    [['secret/x=alice', '**=bob'], 'secret/x/.git', false],
    [['secret/x.git=alice', '**=bob'], 'Secret/x', false],
    [['secret/x/.git=alice', '**=bob'], 'Secret/x.git', false],
    [['se{cr,CR}et/**=alice', '**=bob'], 'seCret/x', false],
    [['s?cr*/**=alice', '**=bob'], 'SECRET/x', false],
    [['[a-z]*/**=alice', '**=bob'], 'SECRET/x', false],
    [['[!A-Z]*/**=alice', '**=bob'], 'SECRET/x', false],
    [['!public/**=alice', '**=bob'], 'secret/x', false],
    [['!secret/**=bob', '**=alice'], 'SECRET/x', false],
    // A rule that allows is for the name as it is written: another server may have another repository in other case.
    [['public/**=bob', '**=alice'], 'PUBLIC/x', false],
    [['public/**=bob'], 'PUBLIC/x', false],
    [['**=bob'], 'pub/%2e%2e/secret', false],
  ]
  for (const [rules, path, may] of rows)
    t.equal(rulesOf(...rules).allowUpstream('read', path, 'bob'), may, `${rules.join(', ')}: ${path}`)
})

t.test('no spelling of a protected name passes by the rule that protects it', async () => {
  /** Spells a character otherwise, for some server. */
  const spelled = (character: string): fc.Arbitrary<string> =>
    fc.constantFrom(
      character,
      character.toUpperCase(),
      `%${character.charCodeAt(0).toString(16)}`,
      `%25${character.charCodeAt(0).toString(16)}`,
      ...(/[a-z]/.test(character)
        ? [String.fromCodePoint(character.charCodeAt(0) + 0xfee0), `${character}\u0301`]
        : []),
    )
  const name = (text: string): fc.Arbitrary<string> =>
    fc
      .tuple(
        fc.tuple(...Array.from(text, spelled)).map((parts) => parts.join('')),
        fc.constantFrom('', ' ', '.', '. .', ';a', ';a=.b', '%20', '%3b'),
      )
      .map((parts) => parts.join(''))
  const slash = fc.constantFrom('/', '//', '%2f', '%252F', '\\', '%5c', '/ /', '/;a/')
  const protectedPath = fc
    .tuple(
      fc.constantFrom('', '/', '//'),
      name('secret'),
      slash,
      name('x'),
      fc.constantFrom('', '.git', '.GIT', '/.git', '.git/', '%2egit', '.git.git'),
    )
    .map((parts) => encodeURI(parts.join('')).replaceAll('%25', '%'))
  const rules = [
    'secret/x',
    'secret/x.git',
    'SECRET/**',
    'secret/*',
    's*t/x',
    '!public/**',
    '**/x',
    '{secret,y}/[a-z]',
  ].map((glob) => rulesOf(`${glob}=alice`, '**=bob'))
  fc.assert(
    fc.property(protectedPath, (encoded) => {
      const path = decodeRepositoryPath(encoded)
      return path === undefined || rules.every((each) => !each.allowUpstream('read', path, 'bob'))
    }),
    { numRuns: 3000 },
  )
})

t.test('a redirect stays with its repository only under a name of the same', async (t) => {
  for (const other of ['a/x', 'a/x.git', 'A/X', '/a//x/', 'a/x/.git'])
    t.ok(isSameUpstreamPath('a/x', other), other)
  for (const other of ['a/y', 'a/x/y', 'a', '../a/x', 'a/xgit'])
    t.notOk(isSameUpstreamPath('a/x', other), other)
})
