import t from 'tap'
import type { Test } from 'tap'
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { observeObjectStore } from '../../../src/git/state/object-store-state.js'
import { openRepository } from '../../../src/git/state/open-repository.js'
import { RepositoriesRoot } from '../../../src/git/state/repositories-root.js'
import { observeRepository, type StateDigest } from '../../../src/git/state/repository-state.js'
import { SnapshotMemory } from '../../../src/git/state/snapshot-memory.js'
import { StatSnapshot } from '../../../src/git/state/stat-snapshot.js'
import { git, initBare, makeCommit, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

/** A repository x.git, another place outside the root, and assertions about how a change moves the token. */
function setUp(t: Test) {
  const top = realpathSync(tempDir(t))
  const root = join(top, 'root')
  mkdirSync(root)
  const path = makeRepository(root, 'x.git')
  const memory = new SnapshotMemory()
  const now = (name = 'x.git'): { objects: StateDigest; capabilities: StateDigest } => {
    const snapshot = new StatSnapshot(memory)
    const opened = openRepository(snapshot, new RepositoriesRoot(root), name)!
    const facts = {
      scopes: { files: [], home: undefined, variables: [] },
      programs: [],
      environmentDigest: '',
    }
    try {
      const state = observeRepository(snapshot, facts, opened)
      return { objects: observeObjectStore(snapshot, opened, state), capabilities: state.capabilities }
    } finally {
      opened.close()
    }
  }
  const settled = async (name?: string): Promise<ReturnType<typeof now>> => {
    for (;;) {
      const state = now(name)
      const { unsettledMs } = state.objects
      if (unsettledMs === 0) return state
      if (unsettledMs > 3000) throw new Error(`will not settle: ${unsettledMs} ms`)
      await sleep(unsettledMs)
    }
  }
  const compare = async (change: () => unknown, name?: string) => {
    const before = await settled(name)
    change()
    const atOnce = now(name)
    const after = await settled(name)
    return {
      objects: after.objects.token !== before.objects.token,
      capabilities: after.capabilities.token !== before.capabilities.token,
      unseen: atOnce.objects.token === before.objects.token && atOnce.objects.unsettledMs === 0,
    }
  }
  return {
    ...{ top, root, path, now, settled },
    moves: async (what: string, change: () => unknown, name?: string) =>
      t.same(await compare(change, name), { objects: true, capabilities: false, unseen: false }, what),
    stays: async (what: string, change: () => unknown, name?: string) => {
      const { objects, capabilities } = await compare(change, name)
      t.same({ objects, capabilities }, { objects: false, capabilities: false }, what)
    },
    /** Writes to files of x.git. */
    write: (name: string, text: string) => () => writeFileSync(join(path, name), text),
    remove: (name: string) => () => rmSync(join(path, name)),
  }
}

t.test('shallow, grafts and alternates move the token: as they appear, change and vanish', async (t) => {
  const { path, moves, write, remove } = setUp(t)
  const [one, two] = [git(path, 'rev-parse', 'main'), makeCommit(path, 'two')]
  for (const [name, text, other] of [
    ['shallow', `${one}\n`, `${two}\n`],
    ['info/grafts', `${one}\n`, `${two}\n`],
    ['objects/info/alternates', '/tmp/a\n', '/tmp/b\n'],
  ] as const) {
    await moves(`${name} appears`, write(name, text))
    await moves(`${name} changes in place, with the same size`, write(name, other))
    await moves(`${name} is replaced`, () => {
      write(`${name}.lock`, text)()
      renameSync(join(path, `${name}.lock`), join(path, name))
    })
    await moves(`${name} grows`, () => appendFileSync(join(path, name), text))
    await moves(`${name} is changed by a writer that resets its mtime`, () => {
      write(name, other)()
      utimesSync(join(path, name), 1, 1)
    })
    await moves(`${name} vanishes`, remove(name))
  }
  rmSync(join(path, 'info'), { recursive: true })
  await moves('info appears with grafts', () => {
    mkdirSync(join(path, 'info'))
    write('info/grafts', `${one}\n`)()
  })
})

t.test('what decides no pack by itself does not move it', async (t) => {
  const { top, path, stays, moves, write } = setUp(t)
  const pool = initBare(top, 'pool.git')
  await moves('an alternate', write('objects/info/alternates', `${pool}/objects\n`))
  await stays('an object', () => makeCommit(path, 'two'))
  await stays('a ref', () => git(path, 'update-ref', 'refs/heads/new', 'main'))
  await stays('HEAD', () => git(path, 'symbolic-ref', 'HEAD', 'refs/heads/new'))
  await stays('an object in an alternate', () => makeCommit(pool, 'three'))
  await stays('a repacked alternate', () => git(pool, 'gc', '--quiet'))
  await stays('http-alternates', write('objects/info/http-alternates', 'x\n'))
  await stays('gc', () => git(path, 'gc', '--quiet'))
  await stays('a file of an alternate’s repository', () => writeFileSync(join(pool, 'shallow'), ''))
})

t.test('the token covers what the capabilities cover', async (t) => {
  const { path, settled } = setUp(t)
  const before = await settled()
  git(path, 'config', 'uploadpack.allowFilter', 'true')
  const after = await settled()
  t.not(after.objects.token, before.objects.token)
  t.not(after.capabilities.token, before.capabilities.token)
})

t.test('an alternate’s alternates move it, wherever they are', async (t) => {
  const { top, root, path, moves, write } = setUp(t)
  const near = join(initBare(root, 'near.git'), 'objects')
  const far = join(initBare(top, 'far.git'), 'objects')
  const file = join(near, 'info/alternates')
  await moves('a relative path', write('objects/info/alternates', '../../near.git/objects\n'))
  await moves('its alternates appear', () => writeFileSync(file, '../../../far.git/objects/\n'))
  t.match(git(path, 'count-objects', '-v'), `alternate: ${near}\nalternate: ${far}`, 'Git reads it too')
  await moves('they change in place', () => writeFileSync(file, '../../../fur.git/objects/\n'))
  await moves('they change back', () => writeFileSync(file, '../../../far.git/objects/\n'))
  await moves('outside the root', () => writeFileSync(join(far, 'info/alternates'), '/none\n'))
  await moves('they vanish', () => rmSync(file))
  await moves('a quoted path', write('objects/info/alternates', '"../../near.git/\\157bjects"\n'))
  await moves('its alternates appear', () => writeFileSync(file, '../../../far.git/objects\n'))
  await moves('the alternate is replaced by a copy without alternates', () => {
    renameSync(join(root, 'near.git'), join(root, 'away.git'))
    initBare(root, 'near.git')
  })
  await moves('it vanishes', () => rmSync(join(root, 'near.git'), { recursive: true }))
})

t.test('an alternate that is a link moves it as it leads elsewhere', async (t) => {
  const { top, path, moves, write } = setUp(t)
  for (const name of ['one.git', 'two.git']) initBare(top, name)
  symlinkSync('one.git', join(top, 'pool'))
  await moves('a link', write('objects/info/alternates', `${top}/pool/objects\n`))
  await moves('elsewhere', () => {
    rmSync(join(top, 'pool'))
    symlinkSync('two.git', join(top, 'pool'))
  })
  // Relative to where the link leads, as Git resolves it.
  mkdirSync(join(top, 'deep/er/objects/info'), { recursive: true })
  initBare(join(top, 'deep'), 'beside.git')
  writeFileSync(join(top, 'deep/er/objects/info/alternates'), '../../beside.git/objects\n')
  symlinkSync('deep/er/objects', join(top, 'linked'))
  await moves('a link to objects', write('objects/info/alternates', `${top}/linked\n`))
  t.match(git(path, 'count-objects', '-v'), `${top}/deep/beside.git/objects`)
  const file = join(top, 'deep/beside.git/objects/info/alternates')
  await moves('what is beside its target', () => writeFileSync(file, '/none\n'))
})

t.test('a linked worktree has the object store of its repository', async (t) => {
  const { top, root, path, moves, write, remove } = setUp(t)
  git(path, 'worktree', 'add', '--quiet', '--detach', join(root, 'tree'), 'main')
  const pool = initBare(top, 'pool.git')
  await moves('alternates', write('objects/info/alternates', `${pool}/objects\n`), 'tree')
  await moves('grafts', write('info/grafts', ''), 'tree')
  await moves('shallow', write('shallow', ''), 'tree')
  const alternates = join(pool, 'objects/info/alternates')
  await moves('an alternate’s alternates', () => writeFileSync(alternates, '/none\n'), 'tree')
  await moves('shallow vanishes', remove('shallow'), 'tree')
})

t.test('a change in the same tick may be missed, so the state is unsettled', async (t) => {
  const { top, now, settled, write } = setUp(t)
  const pool = initBare(top, 'pool.git')
  write('objects/info/alternates', `${pool}/objects\n`)()
  await settled()
  t.equal(now().objects.unsettledMs, 0)
  for (const [what, change] of [
    ['shallow', write('shallow', '')],
    ['grafts', write('info/grafts', '')],
    ['alternates', write('objects/info/alternates', `${pool}/objects\n#\n`)],
    ['an alternate’s alternates', () => writeFileSync(join(pool, 'objects/info/alternates'), '/none\n')],
  ] as const) {
    await settled()
    change()
    const { objects, capabilities } = now()
    t.ok(objects.unsettledMs > 0, what)
    t.equal(capabilities.unsettledMs, 0, what)
  }
})

t.test('alternates are followed as deep as Git follows them', async (t) => {
  const { top, path, moves, stays, write } = setUp(t)
  const stores = Array.from({ length: 8 }, (_, index) => join(initBare(top, `${index}.git`), 'objects'))
  stores.forEach((store, index) => {
    const next = stores[index + 1]
    if (next !== undefined) writeFileSync(join(store, 'info/alternates'), `${next}\n`)
  })
  write('objects/info/alternates', `${stores[0]}\n`)()
  const told = git(path, 'count-objects', '-v').match(/^alternate: .*$/gm)
  t.same(
    told,
    stores.slice(0, 6).map((store) => `alternate: ${store}`),
  )
  const touch = (index: number) => () => appendFileSync(join(stores[index]!, 'info/alternates'), '#\n')
  await moves('the last that Git reads', touch(4))
  await stays('the first that it ignores', touch(5))
  // From here on the same directories are nearer.
  await moves('a shorter way', write('objects/info/alternates', `${stores[0]}\n${stores[2]}\n`))
  await moves('what is nearer now', touch(5))
})

t.test('circles end', async (t) => {
  const { top, path, now, settled, moves, write } = setUp(t)
  const stores = ['a.git', 'b.git', 'c.git'].map((name) => join(initBare(top, name), 'objects'))
  const all = ['../../a.git/objects', '../../b.git/objects', '../../c.git/objects', `${path}/objects`]
  for (const store of stores) writeFileSync(join(store, 'info/alternates'), `${all.join('\n')}\n`)
  write('objects/info/alternates', `${stores.join('\n')}\n`)()
  await settled()
  t.equal(now().objects.unsettledMs, 0)
  for (const store of stores)
    await moves(store, () => appendFileSync(join(store, 'info/alternates'), '# more\n'))
})

t.test('more than is followed is never settled', async (t) => {
  const { top, now, settled, write } = setUp(t)
  write('objects/info/alternates', `${top}\n`.repeat(200))()
  await settled()
  write('objects/info/alternates', `${top}\n`.repeat(201))()
  t.equal(now().objects.unsettledMs, Infinity)
  t.ok(now().capabilities.unsettledMs < Infinity)
  write('objects/info/alternates', `${top}\n${'#'.repeat(1024 * 1024)}`)()
  t.equal(now().objects.unsettledMs, Infinity)
  write('objects/info/alternates', `${'../'.repeat(1500)}\n`)()
  t.equal(now().objects.unsettledMs, Infinity)
})

t.test('what cannot be read counts as nothing, as for Git', async (t) => {
  const { path, settled, moves, write } = setUp(t)
  const alternates = join(path, 'objects/info/alternates')
  await moves('a directory', () => mkdirSync(alternates))
  rmSync(alternates, { recursive: true })
  write('objects/info/alternates', `${path}/HEAD\n${path}/none\n/dev/null\n`)()
  await settled()
  await moves('a file that becomes a directory', () => {
    write('objects/info/alternates', `${path}/objects/info/x\n`)()
    mkdirSync(join(path, 'objects/info/x'))
  })
  rmSync(join(path, 'objects/info'), { recursive: true })
  await settled()
  t.equal(readFileSync(join(path, 'HEAD'), 'utf8'), 'ref: refs/heads/main\n')
})
