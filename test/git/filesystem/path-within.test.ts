import t from 'tap'
import { pathWithin } from '../../../src/git/filesystem/path-within.js'

t.test('a path is within a directory if whole components say so', async (t) => {
  t.equal(pathWithin('/srv/git', '/srv/git'), '')
  t.equal(pathWithin('/srv/git', '/srv/git/a/b.git'), 'a/b.git')
  t.equal(pathWithin('/', '/a'), 'a')
  t.equal(pathWithin('/', '/'), '')
  for (const path of ['/srv', '/', '/srv/git2', '/srv/gi', '/other/srv/git']) {
    t.equal(pathWithin('/srv/git', path), undefined, path)
  }
})
