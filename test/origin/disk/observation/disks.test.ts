import t from 'tap'
import type { Test } from 'tap'
import { mkdirSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Disk, type GitFacts } from '../../../../src/origin/disk/observation/disk.js'
import { DiskHelpers } from '../../../../src/origin/disk/observation/disk-helpers.js'
import { Disks } from '../../../../src/origin/disk/observation/disks.js'
import { Modes } from '../../../../src/origin/disk/observation/modes.js'
import { MountTable } from '../../../../src/git/filesystem/mount-table.js'
import { RepositoriesRoot } from '../../../../src/git/state/repositories-root.js'
import { eventually } from '../../../support/eventually.js'
import { git, makeRepository } from '../../../support/repositories.js'
import { tempDir } from '../../../support/temp-dir.js'

/** A root in which one directory counts as a network filesystem, but not for helper processes. */
function makeWorld(t: Test) {
  const root = realpathSync(tempDir(t))
  const far = join(root, 'far')
  mkdirSync(far)
  const table = Buffer.from(`1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / ${far} rw - nfs4 x rw\n`)
  const mounts = new MountTable(() => table)
  const guard = () => mounts.guard()
  const limits = { directoriesMax: 1000, looseRefsMax: 1000, linksAnywhere: true }
  const rules = [{ glob: 'far/*', mode: 'observe' as const }]
  const helpers = new DiskHelpers({ config: { ...limits, root, rules }, limitMs: 20_000 })
  t.teardown(() => helpers.close())
  const repositories = new RepositoriesRoot(root, guard)
  const near = new Disks(new Disk({ ...limits, root: new RepositoriesRoot(root) }))
  const disks = new Disks(new Disk({ ...limits, root: repositories, guard }), helpers)
  const modes = new Modes({ rules, mounts })
  const facts: GitFacts = {
    scopes: { files: [], home: undefined, variables: [] },
    programs: [],
    environmentDigest: '',
  }
  const observe = (path: string, how = disks) => how.observe(path, facts, modes)
  const observeObjects = (path: string, how = disks) => how.observeObjects(path, facts)
  /** Does a helper process observe it? */
  const isElsewhere = async (path: string): Promise<boolean> => {
    const found = disks.find(path)
    await found
    return found instanceof Promise
  }
  const here = new Disks(new Disk({ ...limits, root: repositories, guard }))
  const observesElsewhere = async (path: string): Promise<boolean> => {
    t.ok((await observe(path)).observed)
    // Without helpers, a query that would need one throws.
    const error: unknown = await observe(path, here).then(
      () => undefined,
      (error: unknown) => error,
    )
    return (error as Error | undefined)?.name === 'RemotePath'
  }
  return { root, far, disks, near, modes, observe, observeObjects, isElsewhere, observesElsewhere }
}

/** What is only of use in the process that has observed it stays there. */
const withoutDetails = (observation: unknown): string =>
  JSON.stringify(observation, (key, value: unknown) => (key === 'details' ? undefined : value))

t.test('a helper process observes what this process would', async (t) => {
  const { far, near, modes, observe, disks, root } = makeWorld(t)
  const path = makeRepository(far, 'r.git')
  git(path, 'config', 'transfer.hideRefs', 'refs/hidden')
  await eventually(
    'the disk is settled',
    async () => (await observe('far/r.git', near)).observed?.state.capabilities.unsettledMs === 0,
  )
  // Recent timestamps are trusted a tick later.
  await eventually('it is the same', async () => {
    const [here, there] = [await observe('far/r', near), await observe('far/r')]
    return there.observed?.refs !== undefined && JSON.stringify(there) === withoutDetails(here)
  })
  const { observed: seen } = await observe('far/r.git')
  t.ok(seen?.state.config.mentioned?.has('transfer.hiderefs'), 'a set arrives as a set')
  t.match(seen?.decision, { mode: 'observe', reason: 'configured' })
  git(path, 'update-ref', 'refs/heads/new', 'main')
  t.not(JSON.stringify((await observe('far/r.git')).observed?.refs), JSON.stringify(seen?.refs))
  t.same((await disks.find('far/r.git')).repository, (await near.find('far/r.git')).repository)
  t.equal(await disks.relative(join(root, 'far/r.git/refs')), 'far/r.git/refs')
  t.equal(disks.relative(root), '')
  t.match(await disks.visit('far/r.git', false), { found: { path: 'far/r.git' } })
  t.match(await disks.visit('far', false), { below: [{ path: 'far/r.git', isLink: false }] })
  t.same((await observe('far/none')).observed, undefined)
  t.equal(modes.of(seen!.state.repository).mode, 'observe')
})

t.test('paths that lead to the mount are queried in a helper, and no others', async (t) => {
  const { root, far, isElsewhere, observesElsewhere } = makeWorld(t)
  makeRepository(far, 'r.git')
  makeRepository(root, 'local.git')
  t.notOk(await isElsewhere('local.git'))
  t.notOk(await isElsewhere('none'))
  symlinkSync('far/r.git', join(root, 'link.git'))
  t.ok(await isElsewhere('link.git'))
  t.ok(await isElsewhere('link'))
  writeFileSync(join(root, 'gitfile.git'), `gitdir: ${far}/r.git\n`)
  t.ok(await isElsewhere('gitfile.git'))
  git(join(far, 'r.git'), 'worktree', 'add', '--quiet', '--detach', join(root, 'tree'), 'main')
  t.ok(await isElsewhere('tree'))
  for (const part of ['refs', 'objects', 'packed-refs']) {
    const path = makeRepository(root, `${part}.git`)
    git(path, 'pack-refs', '--all')
    const target = join(far, part)
    renameSync(join(path, part), target)
    symlinkSync(target, join(path, part))
    // A target of packed-refs is opened only if it is a directory.
    t.ok(await isElsewhere(`${part}.git`), part)
  }

  const inRefs = makeRepository(root, 'in-refs.git')
  mkdirSync(join(far, 'heads'))
  symlinkSync(join(far, 'heads'), join(inRefs, 'refs/heads/far'))
  t.notOk(await isElsewhere('in-refs.git'), 'it is found without a helper')
  const included = makeRepository(root, 'included.git')
  git(included, 'config', 'include.path', join(far, 'more'))
  for (const path of ['in-refs.git', 'included.git']) t.ok(await observesElsewhere(path), path)
  t.notOk(await observesElsewhere('local.git'))
})

t.test(
  'an object store is observed the same in a helper, and there if an alternate is on the mount',
  async (t) => {
    const { root, far, near, observeObjects } = makeWorld(t)
    const local = makeRepository(root, 'local.git')
    makeRepository(root, 'other.git')
    const path = makeRepository(far, 'r.git')
    writeFileSync(join(path, 'objects/info/alternates'), `${root}/other.git/objects\n`)
    t.notOk(observeObjects('local.git') instanceof Promise)
    t.ok(observeObjects('far/r.git') instanceof Promise)
    const isSame = async (name: string): Promise<void> => {
      await eventually('it is the same, once timestamps are trusted', async () => {
        const [here, there] = [await observeObjects(name, near), await observeObjects(name)]
        return here.observed?.objects.unsettledMs === 0 && JSON.stringify(there) === JSON.stringify(here)
      })
    }
    await isSame('far/r.git')
    await isSame('local.git')

    const isElsewhere = async (): Promise<boolean> => {
      const observed = observeObjects('local.git')
      t.ok((await observed).observed)
      return observed instanceof Promise
    }
    const alternates = join(local, 'objects/info/alternates')
    for (const [what, alternate] of [
      ['an alternate', join(far, 'r.git/objects')],
      ['one that does not exist', join(far, 'none')],
      ['a relative one', '../../far/r.git/objects'],
      ['a quoted one', `"${far}/r.git/objects"`],
    ] as const) {
      writeFileSync(alternates, `${alternate}\n`)
      t.ok(await isElsewhere(), what)
      await isSame('local.git')
    }
    symlinkSync(join(far, 'r.git'), join(root, 'pool'))
    writeFileSync(alternates, `${root}/pool/objects\n`)
    t.ok(await isElsewhere(), 'a link')
    writeFileSync(alternates, `${root}/other.git/objects\n`)
    t.notOk(await isElsewhere())
    writeFileSync(join(root, 'other.git/objects/info/alternates'), `${far}/r.git/objects\n`)
    t.ok(await isElsewhere(), 'an alternate’s alternate')
    await isSame('local.git')
    writeFileSync(join(root, 'other.git/objects/info/alternates'), '')
    rmSync(join(local, 'info'), { recursive: true })
    symlinkSync(join(far, 'info'), join(local, 'info'))
    // A directory that was checked a moment ago may have become a link since: see PathGuard.
    await eventually('it is looked for elsewhere because of its grafts', isElsewhere)
  },
)
