import t from 'tap'
import { spawnSync } from 'node:child_process'
import { changedRefs, MalformedRefName } from '../../src/service/changed-refs.js'

const named = (...names: string[]) => changedRefs(names.map((name) => Buffer.from(name)))

t.test('names of refs, bytes as Latin-1', async (t) => {
  t.same(named('refs/heads/ü', 'HEAD', 'refs/a'), ['refs/heads/\xc3\xbc', 'HEAD', 'refs/a'])
  t.same(changedRefs([Buffer.from('refs/heads/\xff', 'latin1')]), ['refs/heads/\xff'])
  t.equal(named(), undefined, 'none')
  t.equal(named(...Array<string>(1001).fill('refs/heads/a')), undefined, 'too many')
  t.equal(named(...Array<string>(1000).fill('refs/heads/a'))?.length, 1000)
})

t.test('what git check-ref-format says of names', async (t) => {
  for (const name of [
    '@',
    'a@',
    '@a',
    '-a',
    '{a',
    'a{b}',
    'a.b',
    'a.lockx',
    'lock',
    'a]',
    'a.lock',
    'a..b',
    'a/.b',
    '.a',
    'a~',
  ]) {
    const { status } = spawnSync('git', ['check-ref-format', `refs/heads/${name}`])
    const isNamed = ((): boolean => {
      try {
        return named(`refs/heads/${name}`) !== undefined
      } catch {
        return false
      }
    })()
    t.equal(isNamed, status === 0, name)
  }
})

t.test('names that no ref has', async (t) => {
  const wrong = [
    '',
    'main',
    'heads/main',
    'ORIG_HEAD',
    'refs/',
    'refs/heads/',
    'refs//a',
    'refs/../a',
    'refs/a..b',
  ]
  const parts = [
    '.a',
    'a.lock',
    'a.lock/b',
    'a.',
    'a b',
    'a\nb',
    'a\0',
    'a\x7f',
    'a~1',
    'a^',
    'a:b',
    'a?',
    'a*',
    '[a',
  ]
  const more = ['a\\b', 'a@{b', 'a/.b', 'a'.repeat(4100)]
  for (const name of [...wrong, ...[...parts, ...more].map((part) => `refs/heads/${part}`)])
    t.throws(() => named('refs/heads/a', name), MalformedRefName, JSON.stringify(name))
  t.throws(() => named('main'), /"main" is not the full name of a ref/)
})
