import t from 'tap'
import fc from 'fast-check'
import { parseGlob } from '../../../src/config/values/glob.js'
import { idleRules, repositoryMatcher } from '../../../src/config/values/repository-glob.js'

/** Which of some repositories a glob is for. */
const meant = (glob: string, paths: readonly string[]): string[] => {
  const matches = repositoryMatcher(glob)
  return paths.filter((path) => matches({ path, refersTo: (other) => !paths.includes(other) }))
}

t.test('a rule applies to a repository by its path with or without .git', async (t) => {
  t.same(meant('a', ['a.git', 'b.git']), ['a.git'])
  t.same(meant('a.git', ['a.git', 'b.git']), ['a.git'])
  t.same(meant('g/team-?', ['g/team-a.git', 'g/team-ab.git']), ['g/team-a.git'])
  t.same(meant('a/.git', ['a', 'b']), ['a'], 'as a working tree')
  t.same(meant('a', ['a.git', 'a']), ['a'], 'where both are, it means the one of that very name')
  t.same(meant('a.git', ['a.git', 'a']), ['a.git'])
  t.same(meant('!a', ['a.git', 'b.git']), ['b.git'], 'all others')
  t.same(meant('!a', ['a.git', 'a', 'b.git']), ['a.git', 'b.git'])
  t.same(meant('a.git', ['a']), [], 'Git does not find it so')
  t.same(meant('g/', ['g/.git']), [])
  t.same(meant('**/.git', ['a', 'b.git']), [], 'no more than what is written')
  t.same(meant('.', ['']), [''])
})

t.test(
  'another name counts only if it is this repository’s; and a rule that matched still does',
  async () => {
    const path = fc
      .array(fc.constantFrom('a', 'b', 'a.git', 'b.git', 'a.git.git'), { minLength: 1, maxLength: 2 })
      .map((names) => names.join('/'))
    const glob = fc.oneof(
      path,
      fc.constantFrom('*', '**', '?', 'a*', '*/?', '**/a', '{a,b}', '[!a]*', '*b', '*.git'),
    )
    fc.assert(
      fc.property(glob, fc.uniqueArray(path, { maxLength: 6 }), (glob, paths) => {
        const found = meant(glob, paths)
        return paths.every((path) => {
          const short = path.replace(/\.git$/, '')
          const names = short !== path && !paths.includes(short) ? [path, short] : [path]
          return found.includes(path) === names.some(parseGlob(glob).fits)
        })
      }),
      { numRuns: 1000 },
    )
  },
)

t.test('rules that apply to no repository are found', async (t) => {
  const rules = ['a', 'b', 'c/**', '**', 'a.git', '!a', 'nothing.git'].map((glob) => ({ glob }))
  t.same(
    idleRules(rules, ['a.git', 'c/d']).map(({ glob }) => glob),
    ['b', 'nothing.git'],
  )
})
