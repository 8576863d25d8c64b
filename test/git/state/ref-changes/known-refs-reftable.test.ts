import t, { type Test } from 'tap'
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { changedInTables } from '../../../../src/git/state/reftable/changed-in-tables.js'
import { symrefNames } from '../../../../src/git/state/reftable/symref-names.js'
import { makeChangesRig } from '../../../support/changes-rig.js'
import { Random } from '../../../support/random.js'
import { git, gitWith } from '../../../support/repositories.js'
import { tempDir } from '../../../support/temp-dir.js'

const probe = ['init', '--quiet', '--bare', '--ref-format=reftable', join(tempDir(t), 'probe.git')]
const skip = spawnSync('git', probe).status === 0 ? false : 'reftable needs Git 2.45'
const head = (name: string): string => `refs/heads/${name}`

/** A repository `main` with reftable, its worktree `linked`, and what their changes look like. */
function setUp(t: Test) {
  const rig = makeChangesRig(t, {}, { symrefNames, changedInTables })
  const path = join(rig.root, 'main')
  git(rig.root, 'init', '--quiet', '--ref-format=reftable', '-b', 'main', path)
  const run = (...args: string[]): string => git(path, ...args)
  run('commit', '--quiet', '--allow-empty', '-m', 'one')
  const first = run('rev-parse', 'HEAD')
  const second = run('commit-tree', '-m', 'two', '-p', first, `${first}^{tree}`)
  // Git merges tables of about one size: after a large one, those of a few changes stand for themselves.
  const lines = Array.from({ length: 4000 }, (_, index) => `create refs/bulk/${index} ${first}\n`)
  gitWith({ cwd: path, input: lines.join('') }, 'update-ref', '--stdin')
  run('pack-refs', '--all')
  run('worktree', 'add', '--quiet', '-b', 'topic', join(rig.root, 'linked'))
  const linked = (...args: string[]): string => git(join(rig.root, 'linked'), ...args)
  const tells = async (
    where: 'main' | 'linked',
    what: string,
    change: () => unknown,
    names: readonly string[],
  ): Promise<void> => {
    const { candidates, missed } = await rig.see(where, change)
    t.same({ candidates, missed }, { candidates: ['HEAD', ...names], missed: [] }, what)
  }
  return { ...rig, path, run, linked, first, second, tells }
}

t.test('each way to change refs in reftables makes their names candidates', { skip }, async (t) => {
  const { path, run, second, tells, see } = setUp(t)
  await tells('main', 'nothing', () => {}, [])
  await tells('main', 'creation', () => run('update-ref', head('new'), 'main'), [head('new')])
  await tells('main', 'update', () => run('update-ref', head('new'), second), [head('new')])
  await tells('main', 'a symbolic ref', () => run('symbolic-ref', head('alias'), head('x')), [head('alias')])
  const target = (): unknown => run('update-ref', head('x'), second)
  await tells('main', 'its target is made', target, [head('alias'), head('x')])
  await tells('main', 'deletion', () => run('update-ref', '-d', head('new')), [head('alias'), head('new')])
  const lines = Array.from({ length: 1200 }, (_, index) => `create refs/many/${index} ${second}\n`)
  const fill = (): unknown => gitWith({ cwd: path, input: lines.join('') }, 'update-ref', '--stdin')
  t.same((await see('main', fill)).candidates, { full: 'candidates' }, 'too many')
  const seen = await see('main', () => run('pack-refs', '--all'))
  t.same(seen.missed, [])
  t.ok('full' in seen.candidates, 'deletions may be gone from a first table that is another one')
  await tells('main', 'a deletion after that', () => run('update-ref', '-d', 'refs/many/7'), [
    head('alias'),
    'refs/many/7',
  ])
  const switched = await see('main', () => run('symbolic-ref', 'HEAD', head('x')))
  t.same(switched, { ...switched, missed: [] })
})

t.test('a worktree has a HEAD and refs of its own in reftables', { skip }, async (t) => {
  const { linked, run, second, first, tells, see } = setUp(t)
  await tells('linked', 'a ref of its own', () => linked('update-ref', 'refs/bisect/bad', 'topic'), [
    'refs/bisect/bad',
  ])
  await tells('linked', 'a shared ref', () => run('update-ref', head('x'), second), [head('x')])
  // Each writes to the few tables of the worktree too, which Git merges when it likes.
  for (const [what, change] of [
    ['the branch that its HEAD names', () => linked('update-ref', 'HEAD', second)],
    ['HEAD detached', () => linked('update-ref', '--no-deref', 'HEAD', first)],
    ['HEAD moved', () => linked('update-ref', '--no-deref', 'HEAD', second)],
    ['HEAD on a branch', () => linked('symbolic-ref', 'HEAD', head('x'))],
    ['HEAD on an unborn branch', () => linked('symbolic-ref', 'HEAD', head('unborn'))],
    ['HEAD of the other', () => run('symbolic-ref', 'HEAD', head('elsewhere'))],
  ] as const)
    t.same((await see('linked', change)).missed, [], what)
})

t.test('no change is missed over random commands', { skip }, async (t) => {
  const { linked, run, first, second, see } = setUp(t)
  const random = new Random(5)
  const names = ['a', 'a/b', 'ab', 'x', 's1', 's2'].map(head)
  const commands: readonly (() => unknown)[] = [
    () => run('update-ref', random.pick(names), random.pick([first, second])),
    () => run('update-ref', '-d', random.pick(names)),
    () => run('update-ref', '--no-deref', '-d', random.pick(names)),
    () => run('symbolic-ref', random.pick(names.slice(-2)), random.pick(names)),
    () => run('pack-refs', '--all'),
    () => linked('update-ref', 'refs/bisect/bad', random.pick([first, second])),
    () => linked('update-ref', 'HEAD', random.pick([first, second])),
    () => linked('symbolic-ref', 'HEAD', random.pick(names)),
  ]
  let told = 0
  for (let step = 0; step < 12; step++) {
    const where = random.pick(['main', 'linked'])
    const done: string[] = []
    const seen = await see(where, () => {
      for (let count = 1 + random.below(3); count > 0; count--) {
        const index = random.below(commands.length)
        done.push(String(index))
        try {
          commands[index]!()
        } catch {
          // Some commands fail in some states.
        }
      }
    })
    if (seen.missed.length > 0) t.fail(`step ${step} of ${where}: ${done.join()}`, seen)
    if (!('full' in seen.candidates)) told++
  }
  t.ok(told > 2, `${told} of 12 were told`)
})

t.test('a table that is damaged or gone needs a full listing', { skip }, async (t) => {
  const { path, run, second, remember, now } = setUp(t)
  const { known, listing } = await remember('main')
  run('update-ref', head('new'), second)
  const directory = join(path, '.git/reftable')
  const newest = readFileSync(join(directory, 'tables.list'), 'utf8').trim().split('\n').at(-1)!
  const { details } = (await now('main'))!.refs
  const ask = () => known.candidates(details!, listing.refs, { candidates: 10 }, new AbortController().signal)
  t.same(await ask(), ['HEAD', head('new')])
  const table = join(directory, newest)
  writeFileSync(table, 'REFT')
  t.match(await ask(), { full: /reftable/ }, 'damaged')
  rmSync(table)
  t.match(await ask(), { full: /reftable|unreadable/ }, 'gone')
})
