import t from 'tap'
import { DiskSubjects } from '../../../src/origin/disk/disk-subjects.js'
import type { Observer } from '../../../src/origin/disk/observation/observer.js'
import type { RepositoriesRoot } from '../../../src/git/state/repositories-root.js'

/** Opens the subjects of a root whose repositories are these, at once or later. */
function open(
  repositories: Readonly<Record<string, string>>,
  isLater: boolean,
  latest: string | undefined = '/srv',
) {
  const found: string[] = []
  const later = <T>(value: T): T | Promise<T> => (isLater ? Promise.resolve(value) : value)
  const observer = {
    find: (path: string) => {
      found.push(path)
      const commonDir = repositories[path]
      return later(commonDir === undefined ? undefined : { commonDir })
    },
    disks: {
      relative: (path: string) => later(path.startsWith('/srv/') ? path.slice('/srv/'.length) : undefined),
    },
  } as unknown as Observer
  return { subjects: new DiskSubjects({ root: { latest } as unknown as RepositoriesRoot, observer }), found }
}

for (const isLater of [false, true]) {
  t.test(`a repository is known by its common directory; ${isLater ? 'later' : 'at once'}`, async (t) => {
    const { subjects, found } = open({ 'a/r.git': '/srv/a/r.git', tree: '/srv/a/r.git', '': '/srv' }, isLater)
    t.equal(subjects.find('a/r.git') instanceof Promise, isLater)
    t.equal(await subjects.find('a/r.git'), '/srv/a/r.git')
    t.equal(await subjects.find('tree'), '/srv/a/r.git', 'a linked worktree')
    t.equal(await subjects.find('/srv/a/r.git'), '/srv/a/r.git', 'by an absolute path')
    t.equal(await subjects.find(''), '/srv', 'the root itself')
    t.equal(await subjects.find('none'), undefined)
    found.length = 0
    for (const name of ['/etc/r.git', '../r.git', 'a//r.git', 'a/./r.git', 'a/\0'])
      t.equal(await subjects.find(name), undefined, JSON.stringify(name))
    t.same(found, [], 'what is no path below the root is not looked for')
  })
}

t.test('a subject is shown relative to the root', async (t) => {
  t.equal(open({}, false).subjects.nameOf('/srv/a/r.git'), 'a/r.git')
  t.equal(open({}, false).subjects.nameOf('/other/r.git'), '/other/r.git')
})
