import t from 'tap'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { openOrigins } from '../../../src/assembly/origins/origins.js'
import { BothOrigin } from '../../../src/origin/both/both-origin.js'
import { DiskOrigin } from '../../../src/origin/disk/disk-origin.js'
import { UpstreamOrigin } from '../../../src/origin/upstream/upstream-origin.js'
import { openOriginsOf } from '../../support/origins.js'
import { makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

/** Nothing listens there, and nothing is asked. */
const upstream = 'http://127.0.0.1:9'

t.test('a root alone: repositories on the disk', async (t) => {
  const root = realpathSync(tempDir(t))
  makeRepository(root, 'r.git')
  const { origin, upstream: none, subjects, locate } = await openOriginsOf(t, { root })
  t.type(origin, DiskOrigin)
  t.equal(none, undefined)
  t.equal(await subjects.find('r.git'), join(root, 'r.git'))
  t.same((await locate('r.git'))?.names, ['r.git'])
})

t.test('an upstream alone: its repositories, which are not looked for here', async (t) => {
  const { origin, disk, subjects, locate } = await openOriginsOf(t, { upstream: `${upstream}/base` })
  t.type(origin, UpstreamOrigin)
  t.equal(disk, undefined)
  t.equal(await subjects.find('Group/R.git'), `${upstream}/base/group/r`)
  t.equal(subjects.nameOf(`${upstream}/base/group/r`), 'group/r')
  t.same(await locate('r.git'), { names: [], identity: '', upstreamPath: 'r.git' })
})

t.test('both: a repository is known by its place on the disk, else by the upstream', async (t) => {
  const root = realpathSync(tempDir(t))
  makeRepository(root, 'group/r.git')
  const { origin, subjects, locate } = await openOriginsOf(t, {
    ...{ root, rootLayout: 'gitea' },
    upstream: `other/**=${upstream}/other,${upstream}`,
  })
  t.type(origin, BothOrigin)
  for (const name of ['Group/R', 'group/r.git', join(root, 'group/r.git')])
    t.equal(await subjects.find(name), join(root, 'group/r.git'), name)
  t.equal(subjects.nameOf(join(root, 'group/r.git')), 'group/r.git')
  t.equal(await subjects.find('group/none'), `${upstream}/group/none`)
  t.equal(await subjects.find('other/none'), `${upstream}/other/other/none`)
  t.same((await locate('Group/R'))?.names, ['group/r.git'], 'access rules see the repository on the disk')
})

t.test('what no upstream has is served from the disk only if it is exported', async (t) => {
  const root = realpathSync(tempDir(t))
  for (const path of ['beside/r.git', 'alone/r.git']) makeRepository(root, path, { exported: false })
  const beside = await openOriginsOf(t, { root, upstream: `beside/**=${upstream}` })
  await t.rejects(beside.origin.advertise({ path: 'alone/r.git' }, 2), { name: 'RepositoryNotFound' })
  await t.rejects(beside.disk!.origin.advertise({ path: 'beside/r.git' }, 2), { name: 'RepositoryNotFound' })
  const all = await openOriginsOf(t, { root, upstream })
  const reading = await all.disk!.origin.advertise({ path: 'beside/r.git' }, 2)
  t.ok(reading, 'a server that has all repositories decides which are served')
  reading?.follower.close()
})

t.test('the first glob that matches has a repository', async (t) => {
  const { subjects } = await openOriginsOf(t, { upstream: `a/*=${upstream}/a,b/*=${upstream}/b` })
  t.equal(await subjects.find('a/r.git'), `${upstream}/a/a/r`)
  t.equal(await subjects.find('b/R.git'), `${upstream}/b/b/r`)
  t.equal(await subjects.find('c/r'), undefined)
})

t.test('questions are counted for their upstream, also if its URL begins as another one does', async (t) => {
  const opened = await openOriginsOf(t, {
    upstream: 'a/*=http://127.0.0.1:9,b/*=http://127.0.0.1:99/x',
  })
  await t.rejects(opened.origin.advertise({ path: 'b/r.git' }, 2), { name: 'UpstreamUnavailable' })
  const name = 'refstream_upstream_client_requests_total'
  t.equal(await opened.counted(name, { upstream: '127.0.0.1:99' }), 1)
  t.equal(await opened.counted(name), 1)
})

t.test('without either there is nothing to answer from', async (t) => {
  await t.rejects(
    openOrigins({} as never, {}, { root: undefined } as never, undefined, {} as never),
    /there is neither a root nor an upstream/,
  )
})

t.test('bounded answers are asked for again after an invalidation by any name', async (t) => {
  const {
    leases,
    subjects,
    upstream: parts,
  } = await openOriginsOf(t, {
    ...{ upstream, upstreamFreshness: 'old/**=bounded:60' },
  })
  const subject = (await subjects.find('Old/R.git'))!
  t.equal(parts?.upstreams.find({ path: 'old/r' }).subject, subject)
  t.equal(parts?.upstreams.find({ path: 'old/r' }).maxAgeMs, 60_000)
  t.equal(parts?.upstreams.find({ path: 'new/r' }).maxAgeMs, 0)
  leases.invalidate(subject)
  t.equal(leases.statusOf(subject).changes, 1)
})
