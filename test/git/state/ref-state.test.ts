import t from 'tap'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Git } from '../../../src/git/process/git.js'
import { inspectInstallation } from '../../../src/git/process/installation.js'
import { SnapshotMemory } from '../../../src/git/state/snapshot-memory.js'
import { RepositoriesRoot } from '../../../src/git/state/repositories-root.js'
import { observeRefState, makeRefObserver } from '../../support/ref-observations.js'
import {
  git,
  gitEnvironment,
  gitWith,
  initBare,
  makeCommit,
  makeRepository,
} from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

type T = Parameters<typeof tempDir>[0]

/** A repository x.git, and assertions about how a change moves its tokens. */
async function setUp(t: T, environment: NodeJS.ProcessEnv = {}) {
  const program = join(tempDir(t), 'git')
  writeFileSync(program, '#!/bin/sh\nexec git "$@"\n', { mode: 0o755 })
  const all = { ...gitEnvironment, ...environment }
  const looker = makeRefObserver(t, await inspectInstallation(new Git({ path: program, environment: all })))
  const path = makeRepository(looker.root, 'x.git')
  const second = makeCommit(path, 'two', git(path, 'rev-parse', 'main'))

  const compare = async (what: string, change: () => void, name = 'x') => {
    const before = await looker.settled(name)
    change()
    const atOnce = await looker.now(name)
    const after = await looker.settled(name)
    const unseen = atOnce?.refs.token === before.refs.token && atOnce.refs.unsettledMs === 0
    return {
      refs: after.refs.token !== before.refs.token,
      capabilities: after.capabilities.token !== before.capabilities.token,
      what: unseen ? `${what} (an observation right after it noticed nothing)` : what,
      unseen,
    }
  }
  return {
    ...{ ...looker, path, second, program },
    run: (...args: string[]) => git(path, ...args),
    /** Changes refs: the refs' token moves, that of the capabilities does not. */
    moves: async (what: string, change: () => void, name?: string) => {
      const { refs, capabilities, unseen, ...seen } = await compare(what, change, name)
      t.same({ refs, capabilities, unseen }, { refs: true, capabilities: false, unseen: false }, seen.what)
    },
    /** Changes what Git may write whatever the refs are: both tokens move. */
    movesBoth: async (what: string, change: () => void, name?: string) => {
      const { refs, capabilities, unseen, ...seen } = await compare(what, change, name)
      t.same({ refs, capabilities, unseen }, { refs: true, capabilities: true, unseen: false }, seen.what)
    },
    stays: async (what: string, change: () => void, name?: string) => {
      const { refs, capabilities } = await compare(what, change, name)
      t.same({ refs, capabilities }, { refs: false, capabilities: false }, what)
    },
  }
}

t.test('every way to change refs moves their token, and not that of the capabilities', async (t) => {
  const { path, second, run, moves, movesBoth } = await setUp(t)
  const clone = join(tempDir(t), 'clone')
  git(path, 'clone', '--quiet', path, clone)
  git(clone, 'commit', '--quiet', '--allow-empty', '-m', 'pushed')

  await moves('push', () => git(clone, 'push', '--quiet', 'origin', 'HEAD:main'))
  await moves('push of a new branch in new directories', () =>
    git(clone, 'push', '--quiet', 'origin', 'HEAD:refs/heads/a/b/c/new'),
  )
  await moves('push into a directory that was there', () =>
    git(clone, 'push', '--quiet', 'origin', 'HEAD~:refs/heads/a/b/c/new', '--force'),
  )
  await moves('push that deletes', () => git(clone, 'push', '--quiet', 'origin', ':refs/heads/a/b/c/new'))
  await moves('update-ref that creates', () => run('update-ref', 'refs/heads/topic', second))
  await moves('update-ref that updates', () => run('update-ref', 'refs/heads/topic', 'main'))
  await moves('update-ref that deletes', () => run('update-ref', '-d', 'refs/heads/topic'))
  await moves('update-ref outside refs/heads', () => run('update-ref', 'refs/odd/place', 'main'))
  await moves('tag', () => run('tag', 'light', 'main'))
  await moves('annotated tag', () => run('tag', '-a', '-m', 'x', 'heavy', 'main'))
  await moves('tag that is forced', () => run('tag', '-f', 'light', second))
  // These two rewrite the configuration too, since a branch may have settings.
  await movesBoth('branch -c', () => run('branch', '-c', 'main', 'copy'))
  await movesBoth('branch -m', () => run('branch', '-m', 'copy', 'moved'))
  await moves('symbolic-ref', () => run('symbolic-ref', 'refs/heads/alias', 'refs/heads/main'))
  await moves('HEAD to another branch', () => run('symbolic-ref', 'HEAD', 'refs/heads/moved'))
  await moves('HEAD unborn', () => run('symbolic-ref', 'HEAD', 'refs/heads/unborn'))
  await moves('HEAD detached', () => run('update-ref', '--no-deref', 'HEAD', second))
  await moves('pack-refs', () => run('pack-refs', '--all'))
  await moves('update of a packed ref', () => run('update-ref', 'refs/heads/moved', 'main'))
  await moves('deletion of a packed ref', () => run('update-ref', '-d', 'refs/tags/light'))
  run('update-ref', 'refs/heads/loose', second)
  await moves('gc', () => run('gc', '--quiet'))
  await moves('a transaction', () =>
    gitWith(
      { cwd: path, input: `create refs/a ${second}\ncreate refs/b ${second}\n` },
      'update-ref',
      '--stdin',
    ),
  )
})

t.test('changes of writers other than Git move the token', async (t) => {
  const { path, second, run, moves } = await setUp(t)
  const replace = (name: string, text: string): void => {
    writeFileSync(join(path, `${name}.new`), text)
    renameSync(join(path, `${name}.new`), join(path, name))
  }
  run('pack-refs', '--all')
  // Only the file itself shows this: no directory under refs/ changes.
  await moves('packed-refs', () => replace('packed-refs', `${second} refs/heads/main\n`))
  await moves('packed-refs in place', () =>
    writeFileSync(join(path, 'packed-refs'), `${second} refs/heads/b\n`),
  )
  await moves('packed-refs gone', () => rmSync(join(path, 'packed-refs')))
  await moves('HEAD', () => replace('HEAD', 'ref: refs/heads/b\n'))
  await moves('a loose ref', () => replace('refs/heads/b', `${second}\n`))
})

t.test('refs whose names are not UTF-8 move the token', async (t) => {
  const { path, second, moves, run } = await setUp(t)
  // In Node, arguments of a program are UTF-8; its input need not be.
  const update = (oid: string): void => {
    const line = Buffer.from(`update refs/heads/caf\xe9/x ${oid}\n`, 'latin1')
    gitWith({ cwd: path, input: line }, 'update-ref', '--stdin')
  }
  await moves('creation', () => update(second))
  await moves('update', () => update(run('rev-parse', 'main')))
})

t.test('tokens stay the same as long as nothing changes', async (t) => {
  const { path, root, run, stays } = await setUp(t)
  await stays('nothing', () => {})
  await stays('reading', () => run('for-each-ref'))
  await stays('objects', () => makeCommit(path, 'dangling'))
  await stays('repacking objects', () => run('repack', '-q', '-a'))
  await stays('another repository', () => makeRepository(root, 'y.git'))
  await stays('a lock that is taken and dropped', () => {
    writeFileSync(join(path, 'HEAD.lock'), '')
    rmSync(join(path, 'HEAD.lock'))
  })
})

t.test('every configuration file that Git may read moves both tokens', async (t) => {
  const home = tempDir(t)
  const { root, path, program, run, movesBoth } = await setUp(t, { HOME: home })
  await movesBoth('git config', () => run('config', 'transfer.hideRefs', 'refs/tags'))
  await movesBoth('the user’s file', () => writeFileSync(join(home, '.gitconfig'), '[a]\n'))
  mkdirSync(join(home, '.config/git'), { recursive: true })
  await movesBoth('the user’s other file', () => writeFileSync(join(home, '.config/git/config'), '[a]\n'))
  await movesBoth('config.worktree', () => writeFileSync(join(path, 'config.worktree'), '[a]\n'))

  await movesBoth('an include that is added', () => run('config', 'include.path', '../included'))
  await movesBoth('the included file', () => writeFileSync(join(root, 'included'), '[b]\n'))
  await movesBoth('the included file, edited', () => writeFileSync(join(root, 'included'), '[c]\n'))
  run('config', 'includeIf.gitdir:/elsewhere/.path', '~/conditional')
  await movesBoth('a conditional one', () => writeFileSync(join(home, 'conditional'), '[b]\n'))

  const export_ = join(path, 'git-daemon-export-ok')
  await movesBoth('git-daemon-export-ok', () => rmSync(export_))
  await movesBoth('and back', () => writeFileSync(export_, ''))
  await movesBoth('another Git', () => {
    writeFileSync(`${program}.new`, '#!/bin/sh\nexec git "$@"\n', { mode: 0o755 })
    renameSync(`${program}.new`, program)
  })
  await movesBoth('permissions', () => chmodSync(program, 0o700))
})

t.test('the environment of Git is part of every token', async (t) => {
  const { root, second } = await setUp(t)
  t.ok(second)
  const one = makeRefObserver(t, { root, environmentDigest: 'one' })
  const two = makeRefObserver(t, { root, environmentDigest: 'two' })
  t.not((await one.settled('x')).capabilities.token, (await two.settled('x')).capabilities.token)
})

t.test('a shallow file moves the token of the refs', async (t) => {
  const { path, second, moves } = await setUp(t)
  await moves('made', () => writeFileSync(join(path, 'shallow'), `${second}\n`))
  await moves('gone', () => rmSync(join(path, 'shallow')))
})

t.test(
  'a repository that is deleted and made again, or replaced by another, has another token',
  async (t) => {
    const { path, root, now, movesBoth } = await setUp(t)
    await movesBoth('made again, with the same bytes', () => {
      rmSync(path, { recursive: true })
      makeRepository(root, 'x.git')
    })
    await movesBoth('a copy in its place', () => {
      cpSync(path, `${path}.copy`, { recursive: true, preserveTimestamps: true })
      renameSync(path, `${path}.old`)
      renameSync(`${path}.copy`, path)
    })
    await movesBoth('x/.git comes before x.git', () => void makeRepository(root, 'x/.git'))
    rmSync(join(root, 'x'), { recursive: true })
    rmSync(path, { recursive: true })
    t.equal(await now('x'), undefined)
  },
)

t.test('linked worktrees have refs and a HEAD of their own', async (t) => {
  const { root, path, second, run, moves, stays } = await setUp(t)
  const tree = join(root, 'tree')
  run('worktree', 'add', '--quiet', tree, '-b', 'topic')
  await moves('a shared ref', () => run('update-ref', 'refs/heads/main', second), 'tree')
  await moves('the HEAD', () => git(tree, 'checkout', '--quiet', '--detach'), 'tree')
  await moves('a ref of the worktree', () => git(tree, 'update-ref', 'refs/worktree/a', 'HEAD'), 'tree')
  await stays('the main repository’s HEAD', () => run('symbolic-ref', 'HEAD', 'refs/heads/x'), 'tree')
  await stays('the worktree’s HEAD', () => git(tree, 'checkout', '--quiet', 'topic'), 'x')
  t.equal(path, join(root, 'x.git'))
})

t.test('loose refs that are overwritten in place move the token', async (t) => {
  const { path, second, run, moves } = await setUp(t)
  const first = run('rev-parse', 'main')
  const at = (name: string): string => join(path, name)
  const write = (name: string, text: string) => (): void => writeFileSync(at(name), text)
  await moves('a branch', write('refs/heads/main', `${second}\n`))
  await moves('back, at the same size', write('refs/heads/main', `${first}\n`))
  run('symbolic-ref', 'refs/remotes/origin/HEAD', 'refs/remotes/origin/main')
  await moves('a symbolic ref', write('refs/remotes/origin/HEAD', 'ref: refs/remotes/origin/next\n'))
  run('update-ref', 'refs/heads/a/b/c', first)
  await moves('a ref in a deep directory', write('refs/heads/a/b/c', `${second}\n`))
  await moves('by a writer that keeps mtime', () => {
    writeFileSync(at('refs/heads/main'), `${second}\n`)
    utimesSync(at('refs/heads/main'), 1, 1)
  })
  await moves('HEAD', write('HEAD', 'ref: refs/heads/a/b/c\n'))
  run('pack-refs', '--all')
  await moves('packed-refs', () => {
    writeFileSync(at('packed-refs'), readFileSync(at('packed-refs'), 'utf8').replaceAll(first, second))
  })
  writeFileSync(Buffer.concat([Buffer.from(at('refs/heads/caf')), Buffer.of(0xe9)]), `${first}\n`)
  await moves('a name that is not UTF-8', () => {
    writeFileSync(Buffer.concat([Buffer.from(at('refs/heads/caf')), Buffer.of(0xe9)]), `${second}\n`)
  })
})

t.test('of too many loose refs, it is reported that not all are checked', async (t) => {
  const root = realpathSync(tempDir(t))
  const path = makeRepository(root, 'x.git')
  const commit = git(path, 'rev-parse', 'main')
  for (let index = 0; index < 5; index++) writeFileSync(join(path, `refs/heads/b${index}`), `${commit}\n`)
  const settings = {
    root: new RepositoriesRoot(root),
    ...{ scopes: { files: [], home: undefined, variables: [] }, programs: [], environmentDigest: '' },
  }
  const see = async (looseRefs: number): Promise<boolean> => {
    const limits = { directories: 100, looseRefs }
    return (await observeRefState(settings, new SnapshotMemory(), 'x', limits))!.refs.allLoose
  }
  // main, the tag, and five more.
  t.equal(await see(7), true)
  t.equal(await see(6), false)
  t.equal(await see(0), false)
  git(path, 'pack-refs', '--all')
  t.equal(await see(0), true)
})

t.test('links under refs/ are followed', async (t) => {
  const { root, path, second, moves } = await setUp(t)
  const elsewhere = join(root, 'elsewhere')
  mkdirSync(elsewhere)
  await moves('a link to a directory', () => symlinkSync(elsewhere, join(path, 'refs/heads/linked')))
  await moves('a ref in it', () => writeFileSync(join(elsewhere, 'a'), `${second}\n`))
  await moves('a link to a file', () => symlinkSync(join(elsewhere, 'a'), join(path, 'refs/heads/single')))
  await moves('HEAD as a link', () => {
    rmSync(join(path, 'HEAD'))
    symlinkSync('refs/heads/main', join(path, 'HEAD'))
  })
  await moves('the branch that it means', () => git(path, 'update-ref', 'refs/heads/main', second))
})

t.test('reftable: the content of tables.list decides', async (t) => {
  const { path, moves, stays } = await setUp(t)
  mkdirSync(join(path, 'reftable'))
  const list = join(path, 'reftable/tables.list')
  const write = (text: string) => (): void => {
    writeFileSync(list, text)
    // As on a filesystem without useful timestamps.
    utimesSync(list, 1, 1)
  }
  await moves('the first table', write('0x01-0x01-aaaa.ref\n'))
  await moves('another of the same length', write('0x01-0x01-bbbb.ref\n'))
  await stays('the same again', write('0x01-0x01-bbbb.ref\n'))
})

/** Makes a repository with reftable by a Git that has it (2.45 and later); undefined: there is none. */
function initReftable(path: string): ((...args: string[]) => void) | undefined {
  const run = (...args: string[]): void => {
    const program = process.env['REFSTREAM_TEST_GIT'] ?? 'git'
    execFileSync(program, args, { cwd: path, env: gitEnvironment, stdio: 'pipe' })
  }
  mkdirSync(path)
  try {
    run('init', '--quiet', '--bare', '--ref-format=reftable')
    return run
  } catch {
    return undefined
  }
}

t.test('every change of a repository with reftable moves the token', async (t) => {
  const { root, settled } = makeRefObserver(t)
  const run = initReftable(join(root, 'r.git'))
  if (!run) {
    t.pass('needs Git 2.45, here or in REFSTREAM_TEST_GIT', { skip: true })
    return
  }
  const tokens = [(await settled('r')).refs.token]
  for (const args of [
    ['symbolic-ref', 'HEAD', 'refs/heads/other'],
    ['symbolic-ref', 'refs/heads/a', 'refs/heads/b'],
    ['symbolic-ref', 'refs/heads/a', 'refs/heads/c'],
  ]) {
    run(...args)
    tokens.push((await settled('r')).refs.token)
  }
  t.equal(new Set(tokens).size, tokens.length)
})

t.test('an observation reports what else decides how a repository is served', async (t) => {
  const { path, root, now, settled, run } = await setUp(t)
  t.match(await now('x'), { repository: { gitDir: path, commonDir: path }, exported: true })
  initBare(root, 'private.git', { exported: false })
  t.equal((await now('private'))?.exported, false)
  t.equal(await now('none'), undefined)

  await settled('x')
  run('update-ref', 'refs/heads/new', 'main')
  // The clock is stopped at the time of the change, however slow this process is.
  const changedAt = Number(statSync(join(path, 'refs/heads'), { bigint: true }).ctimeNs / 1_000_000n)
  const clock = t.capture(Date, 'now', () => changedAt)
  const young = await now('x')
  clock.restore()
  t.ok(young && young.refs.unsettledMs > 0, 'unsettled right after a change')
  t.equal(young?.capabilities.unsettledMs, 0, 'but not the capabilities')
  t.equal((await settled('x')).refs.token, young?.refs.token, 'and settled a little later')

  run('config', 'include.path', '~nobody/x')
  t.equal((await now('x'))?.refs.unsettledMs, Infinity, 'never, if a change could go unseen')
})
