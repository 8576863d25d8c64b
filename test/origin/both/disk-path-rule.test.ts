import t from 'tap'
import { diskPathRule } from '../../../src/origin/both/disk-path-rule.js'

t.test('plain: a path on disk is that in URLs', async (t) => {
  const rule = diskPathRule('plain')
  for (const path of ['', 'Group/Repo', 'group/repo.git']) t.equal(rule(path), path)
})

t.test('gitea: a path on disk is in lower case, and ends in .git', async (t) => {
  const rule = diskPathRule('gitea')
  for (const path of ['Owner/Repo', 'owner/repo.git', 'OWNER/REPO.GIT', 'owner/repo'])
    t.equal(rule(path), 'owner/repo.git', path)
  t.equal(rule('owner/repo.wiki.git'), 'owner/repo.wiki.git')
  t.equal(rule('owner/repo.git.git'), 'owner/repo.git.git')
  t.equal(rule(rule('Owner/Repo')), rule('Owner/Repo'))
})
