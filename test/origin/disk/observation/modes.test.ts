import t from 'tap'
import { mkdirSync } from 'node:fs'
import { Modes, type ModeRule } from '../../../../src/origin/disk/observation/modes.js'
import type { Repository } from '../../../../src/git/state/repository.js'
import { tempDir } from '../../../support/temp-dir.js'

const at = (root: string, name = ''): Repository => {
  const gitDir = name === '' ? root : `${root}/${name}`
  const names = { gitName: name, commonName: name, linkedNames: [] }
  return { gitDir, commonDir: gitDir, ...names, gitIdentity: gitDir, commonIdentity: gitDir }
}

t.test('the first rule that matches the path below the root decides', async (t) => {
  const root = tempDir(t)
  const rules: ModeRule[] = [
    { glob: 'mirrors/own/**', mode: 'auto' },
    { glob: 'mirrors/**', mode: 'lease' },
    { glob: '*.git', mode: 'observe' },
    { glob: '.', mode: 'lease' },
  ]
  const modes = new Modes({ rules })
  const expected: [string, string, string, string?][] = [
    ['mirrors/a.git', 'lease', 'configured', 'mirrors/**'],
    ['mirrors/deep/er/.hidden.git', 'lease', 'configured', 'mirrors/**'],
    ['mirrors/work/.git', 'lease', 'configured', 'mirrors/**'],
    ['mirrors/own/a.git', 'observe', 'local'],
    ['a.git', 'observe', 'configured', '*.git'],
    ['deep/a.git', 'observe', 'local'],
    ['', 'lease', 'configured', '.'],
  ]
  for (const [path, mode, reason, detail] of expected) {
    const decision = modes.of(at(root, path))
    t.same(decision, { mode, reason, ...(detail === undefined ? {} : { detail }) }, path)
  }
})

t.test('a rule for all repositories includes a root that is one itself', async (t) => {
  const root = tempDir(t)
  const modes = new Modes({ rules: [{ glob: '**', mode: 'lease' }] })
  for (const path of ['', '.git', 'a.git', 'a/b/.c']) {
    t.equal(modes.of(at(root, path)).mode, 'lease', path)
  }
})

t.test('a rule matches a repository under each of its names, and no other', async (t) => {
  const root = tempDir(t)
  const rules: ModeRule[] = ['a', 'b', 'c'].map((glob) => ({ glob, mode: 'lease' }))
  // The name belongs to another repository only if there is one at it.
  mkdirSync(`${root}/a`)
  mkdirSync(`${root}/b/HEAD`, { recursive: true })
  mkdirSync(`${root}/c/.git`, { recursive: true })
  const modes = new Modes({ rules })
  const modeOf = (path: string): string => modes.of(at(root, path)).mode
  t.same(['a.git', 'b.git', 'b', 'c.git', 'c/.git'].map(modeOf), [
    'lease',
    'observe',
    'lease',
    'observe',
    'lease',
  ])
})

t.test('too many directories: reported once per repository, and counted', async (t) => {
  const root = tempDir(t)
  const reported: string[] = []
  const modes = new Modes({
    rules: [{ glob: 'c', mode: 'lease' }],
    leaseOnly: ({ gitDir }, { reason }) => reported.push(`${gitDir} ${reason}`),
  })
  const [a, b, c] = ['a', 'b', 'c'].map((name) => at(root, name)) as [Repository, Repository, Repository]
  t.equal(modes.of(a).mode, 'observe')
  t.same(modes.tooManyDirectories(a), { mode: 'lease', reason: 'directories' })
  modes.tooManyDirectories(a)
  t.same(modes.of(a), { mode: 'lease', reason: 'directories' }, 'it is remembered')
  t.equal(modes.of(b).mode, 'observe')
  t.equal(modes.of(c).mode, 'lease')
  t.same(reported, [`${root}/a directories`], 'a configured mode is not reported')
  t.same(
    [...modes.countByReason()].sort((one, two) => (one.reason < two.reason ? -1 : 1)),
    [
      { mode: 'lease', reason: 'configured', count: 1 },
      { mode: 'lease', reason: 'directories', count: 1 },
      { mode: 'observe', reason: 'local', count: 1 },
    ],
  )
})

t.test(
  'a decision is made again after ten minutes, since mounts may change; it is reported once',
  async (t) => {
    const reported: string[] = []
    const root = tempDir(t)
    const modes = new Modes({ rules: [], leaseOnly: ({ gitDir }) => reported.push(gitDir) })
    const now = performance.now.bind(performance)
    t.teardown(() => (performance.now = now))
    modes.tooManyDirectories(at(root))
    performance.now = () => now() + 601_000
    t.same(modes.of(at(root)), { mode: 'observe', reason: 'local' })
    modes.tooManyDirectories(at(root))
    t.same(reported, [root])
  },
)
