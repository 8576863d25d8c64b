import t from 'tap'
import { appendFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeChangesRig } from '../../../support/changes-rig.js'
import {
  addPackedBranches,
  git,
  gitWith,
  initBare,
  makeCommit,
  makeRepository,
} from '../../../support/repositories.js'

type T = Parameters<typeof makeChangesRig>[0]

/** A repository x.git with loose, packed and symbolic refs, and assertions about its changes. */
function setUp(t: T) {
  const rig = makeChangesRig(t)
  const path = makeRepository(rig.root, 'x.git')
  const run = (...args: string[]): string => git(path, ...args)
  const second = makeCommit(path, 'two', run('rev-parse', 'main'))
  for (const name of ['packed', 'old', 'both', 'a/b']) run('update-ref', `refs/heads/${name}`, 'main')
  run('pack-refs', '--all')
  for (const name of ['both', 'loose', 'd/e']) run('update-ref', `refs/heads/${name}`, second)
  return {
    ...{ ...rig, path, run, second },
    /** The candidates are these, HEAD apart, and stand for all that Git shows to have changed. */
    tells: async (what: string, change: () => unknown, candidates: readonly string[]) => {
      const seen = await rig.see('x', change)
      t.same(seen.missed, [], `${what}: none is missed`)
      t.same(seen.candidates, ['HEAD', ...candidates], what)
    },
    needsFull: async (what: string, change: () => unknown, full: string, limit?: number) => {
      const seen = await rig.see('x', change, limit)
      t.same(seen.candidates, { full }, what)
    },
  }
}

const head = (name: string): string => `refs/heads/${name}`

t.test('each way to change refs makes their names candidates', async (t) => {
  const { path, run, second, tells, needsFull } = setUp(t)
  await tells('nothing', () => {}, [])
  await tells('reading', () => run('for-each-ref'), [])
  await tells('creation', () => run('update-ref', 'refs/heads/new', second), [head('new')])
  await tells('creation in a new directory', () => run('update-ref', head('n/e/w'), second), [head('n/e/w')])
  await tells('update', () => run('update-ref', head('new'), 'main'), [head('new')])
  await tells('deletion', () => run('update-ref', '-d', head('n/e/w')), [head('n/e/w')])
  await tells('update of a packed ref', () => run('update-ref', head('packed'), second), [head('packed')])
  await tells('deletion of a packed ref', () => run('update-ref', '-d', head('old')), [head('old')])
  await tells('deletion of loose over packed', () => run('update-ref', '-d', head('both')), [head('both')])
  await tells('tag', () => run('tag', '-a', '-m', 'x', 'heavy', 'main'), ['refs/tags/heavy'])
  await tells('a tag that is another one', () => run('tag', '-f', '-a', '-m', 'y', 'heavy', 'main'), [
    'refs/tags/heavy',
  ])
  await tells('pack-refs', () => run('pack-refs', '--all'), [
    head('d/e'),
    head('loose'),
    head('new'),
    head('packed'),
    'refs/tags/heavy',
  ])
  await tells('a tag in packed-refs', () => run('tag', '-d', 'heavy'), ['refs/tags/heavy'])
  const transaction = `create refs/heads/one ${second}\ndelete refs/heads/new\ncreate refs/odd/two ${second}\n`
  const update = () => gitWith({ cwd: path, input: transaction }, 'update-ref', '--stdin')
  await tells('transaction', update, [head('new'), head('one'), 'refs/odd/two'])
  await tells('gc', () => run('gc', '--quiet'), [head('one'), 'refs/odd/two'])
  await needsFull(
    'branch -m writes the configuration',
    () => run('branch', '-m', 'one', 'renamed'),
    'configuration',
  )
  await needsFull('HEAD to another branch', () => run('symbolic-ref', 'HEAD', head('loose')), 'head')
  await needsFull('HEAD detached', () => run('update-ref', '--no-deref', 'HEAD', second), 'head')
  await needsFull('configuration', () => run('config', 'transfer.hideRefs', 'refs/odd'), 'configuration')
  await needsFull('shallow', () => writeFileSync(join(path, 'shallow'), `${second}\n`), 'configuration')
})

t.test('directories in place of refs and the other way round', async (t) => {
  const { path, run, second, tells } = setUp(t)
  const swap = (from: string, to: string) => () => {
    run('update-ref', '-d', from)
    run('update-ref', to, second)
  }
  await tells('loose ref to directory', swap(head('loose'), head('loose/x')), [head('loose')])
  await tells('directory to loose ref', swap(head('loose/x'), head('loose')), [head('loose')])
  await tells('packed ref to directory', swap(head('packed'), head('packed/x')), [head('packed')])
  await tells('packed ref in a directory to loose ref', swap(head('a/b'), head('a')), [head('a')])
  await tells('an empty directory', () => mkdirSync(join(path, 'refs/heads/empty')), [])
  await tells('it is gone', () => rmSync(join(path, 'refs/heads/empty'), { recursive: true }), [])
  await tells('a lock file', () => writeFileSync(join(path, 'refs/heads/main.lock'), ''), [])
})

t.test('symbolic refs are candidates, and those that lead nowhere too', async (t) => {
  const { run, second, tells } = setUp(t)
  const symref = (name: string, target: string) => () => run('symbolic-ref', head(name), head(target))
  await tells('a new one', symref('alias', 'packed'), [head('alias')])
  await tells('it is moved', symref('alias', 'loose'), [head('alias')])
  await tells('its target is moved', () => run('update-ref', head('loose'), 'main'), [
    head('alias'),
    head('loose'),
  ])
  await tells('its target is deleted', () => run('update-ref', '-d', head('loose')), [
    head('alias'),
    head('loose'),
  ])
  await tells('something else', () => run('update-ref', head('other'), second), [
    head('alias'),
    head('other'),
  ])
  await tells('its target is made', () => run('update-ref', head('loose'), second), [
    head('alias'),
    head('loose'),
  ])
  run('symbolic-ref', head('alias'), head('nowhere'))
  await tells('one that led nowhere', () => run('update-ref', head('nowhere'), second), [
    head('alias'),
    head('nowhere'),
  ])
  run('symbolic-ref', 'refs/chain/a', 'refs/chain/b')
  run('symbolic-ref', 'refs/chain/b', head('packed'))
  const chain = ['refs/chain/a', 'refs/chain/b']
  await tells('the middle of a chain', () => run('symbolic-ref', 'refs/chain/b', head('d/e')), [
    ...chain,
    head('alias'),
  ])
  await tells('its end, which is packed', () => run('pack-refs', '--all'), [
    ...chain,
    head('alias'),
    ...['both', 'd/e', 'loose', 'nowhere', 'other'].map(head),
  ])
  await tells('its end, which was packed', () => run('update-ref', head('d/e'), 'main'), [
    ...chain,
    head('alias'),
    head('d/e'),
  ])
})

t.test('other writers than Git, and names that are not UTF-8', async (t) => {
  const { path, second, run, tells, needsFull } = setUp(t)
  const loose = join(path, 'refs/heads/loose')
  await tells('a loose ref in place', () => writeFileSync(loose, `${run('rev-parse', 'main')}\n`), [
    head('loose'),
  ])
  await tells('a broken ref', () => writeFileSync(loose, 'broken\n'), [head('loose')])
  await tells('it is still broken, which Git shows', () => {}, [])
  await tells('it is repaired', () => writeFileSync(loose, `${second}\n`), [head('loose')])
  // Git shows these as broken refs.
  await tells('a space', () => writeFileSync(join(path, 'refs/heads/a b'), `${second}\n`), [head('a')])
  rmSync(join(path, 'refs/heads/a b'))
  await needsFull('a space first', () => writeFileSync(join(path, 'refs/heads/ b'), ''), 'candidates')
  rmSync(join(path, 'refs/heads/ b'))
  const odd = head('caf\xe9/x')
  const update = (command: string) => () =>
    gitWith({ cwd: path, input: Buffer.from(`${command}\n`, 'latin1') }, 'update-ref', '--stdin')
  await tells('bytes', update(`create ${odd} ${second}`), [odd])
  await tells(
    'bytes, packed',
    () => run('pack-refs', '--all'),
    [odd, head('d/e'), head('both'), head('loose')].sort(),
  )
  await tells('bytes, removed', update(`delete ${odd}`), [odd])
  const packed = join(path, 'packed-refs')
  // Its content of before is gone.
  await needsFull('packed-refs in place', () => appendFileSync(packed, `${second} refs/zzz\n`), 'packed-refs')
  await needsFull('links', () => writeFileSync(packed, `${second} ${head('b')}\n`), 'packed-refs')
})

t.test('packed-refs that appears, goes, or is replaced more than once', async (t) => {
  const { path, run, second, tells } = setUp(t)
  const branches = ['both', 'd/e', 'loose'].map(head)
  await tells(
    'replaced twice',
    () => {
      run('pack-refs', '--all')
      run('update-ref', '-d', head('old'))
      run('update-ref', '-d', head('a/b'))
    },
    [head('a/b'), ...branches, head('old')],
  )
  await tells('gone', () => rmSync(join(path, 'packed-refs')), [
    ...[head('both'), head('d/e'), head('loose'), head('main'), head('packed')],
    'refs/tags/v1',
  ])
  run('update-ref', head('main'), second)
  await tells('made', () => run('pack-refs', '--all'), [head('main')])
})

t.test('more changes than the limit need a full listing, as does damage', async (t) => {
  const { path, run, second, needsFull, see } = setUp(t)
  await needsFull(
    'loose refs',
    () => {
      const lines = Array.from({ length: 12 }, (_, index) => `create refs/heads/n${index} ${second}\n`)
      gitWith({ cwd: path, input: lines.join('') }, 'update-ref', '--stdin')
    },
    'candidates',
    10,
  )
  run('pack-refs', '--all')
  const lines = Array.from({ length: 1200 }, (_, index) => `create refs/many/${index} ${second}\n`)
  gitWith({ cwd: path, input: lines.join('') }, 'update-ref', '--stdin')
  await needsFull('packed refs', () => run('pack-refs', '--all'), 'candidates')
  addPackedBranches(path, 3000)
  const seen = await see('x', () => run('update-ref', '-d', 'refs/heads/b/001500'))
  t.same(seen, {
    candidates: ['HEAD', head('b/001500')],
    changed: [head('b/001500')],
    missed: [],
  })
})

t.test('a linked worktree has refs of its own', async (t) => {
  const { root, see } = makeChangesRig(t)
  const path = join(root, 'main')
  git(root, 'init', '--quiet', '-b', 'main', path)
  git(path, 'commit', '--quiet', '--allow-empty', '-m', 'one')
  git(path, 'worktree', 'add', '--quiet', '-b', 'topic', join(root, 'linked'))
  const linked = (...args: string[]) => git(join(root, 'linked'), ...args)
  const expect = async (what: string, change: () => unknown, names: readonly string[]) => {
    const { candidates, missed } = await see('linked', change)
    t.same({ candidates, missed }, { candidates: ['HEAD', ...names], missed: [] }, what)
  }
  await expect('its first ref', () => linked('update-ref', 'refs/bisect/bad', 'main'), ['refs/bisect/bad'])
  await expect('its second ref', () => linked('update-ref', 'refs/bisect/good', 'main'), ['refs/bisect/good'])
  await expect('a shared ref', () => linked('update-ref', head('x'), 'main'), [head('x')])
  await expect('a ref of the other', () => git(path, 'update-ref', 'refs/bisect/bad', 'main'), [
    'refs/bisect/bad',
  ])
  await expect(
    'a commit',
    () => linked('commit', '--quiet', '--allow-empty', '-m', 'two'),
    ['refs/bisect/bad', head('topic')].filter((name) => name === head('topic')),
  )
})

t.test('with links there are no details', async (t) => {
  const rig = makeChangesRig(t)
  const path = makeRepository(rig.root, 'x.git')
  t.ok((await rig.settled('x')).refs.details)
  symlinkSync('main', join(path, 'refs/heads/link'))
  t.equal((await rig.settled('x')).refs.details, undefined, 'a link to a ref')
  rmSync(join(path, 'refs/heads/link'))
  symlinkSync('heads', join(path, 'refs/aliases'))
  t.equal((await rig.settled('x')).refs.details, undefined, 'a link to a directory')
  rmSync(join(path, 'refs/aliases'))
  t.ok((await rig.settled('x')).refs.details)
  symlinkSync('elsewhere', join(path, 'packed-refs'))
  t.equal((await rig.settled('x')).refs.details, undefined, 'packed-refs')
})

t.test('files are closed, and what is exchanged is not read', async (t) => {
  const rig = makeChangesRig(t)
  const path = makeRepository(rig.root, 'x.git')
  git(path, 'pack-refs', '--all')
  const { known, listing } = await rig.remember('x')
  git(path, 'tag', '-d', 'v1')
  const { details } = (await rig.now('x'))!.refs
  const ask = (signal = new AbortController().signal) =>
    known.candidates(details!, listing.refs, { candidates: 10 }, signal)
  t.same(await ask(), ['HEAD', 'refs/tags/v1'])
  t.same(await ask(), ['HEAD', 'refs/tags/v1'], 'it can be asked again')
  await t.rejects(ask(AbortSignal.abort(new Error('aborted'))), { message: 'aborted' })
  t.ok(known.bytes > 1000)
  const asked = ask()
  known.close()
  known.close()
  t.match(await asked, { full: 'unreadable' }, 'closed meanwhile')
  t.same(await ask(), { full: 'unreadable' })
})

t.test('a repository without any ref', async (t) => {
  const rig = makeChangesRig(t)
  const path = initBare(rig.root, 'x.git')
  const commit = makeCommit(path, 'one')
  const seen = await rig.see('x', () => git(path, 'update-ref', 'refs/heads/main', commit))
  t.same(seen, { candidates: ['HEAD', head('main')], changed: ['HEAD', head('main')], missed: [] })
})
