import t from 'tap'
import { mutatorPath, repositoryPath } from '../../../src/grpc/services/requests.js'

const invalid = { name: 'RpcError', reason: 'invalid' }

t.test('a path is relative to the root', async (t) => {
  for (const path of ['a', 'team/r.git', 'é', 'a'.repeat(4096)]) t.equal(repositoryPath(path), path)
  for (const path of ['', '/a', 'a/', 'a//b', '.', '../a', 'a/../b', 'a\0', 'é'.repeat(2049)]) {
    t.throws(() => repositoryPath(path), invalid, JSON.stringify(path.slice(0, 20)))
  }
})

t.test('a mutator may also use an absolute path', async (t) => {
  for (const path of ['a', '/srv/git/r.git']) t.equal(mutatorPath(path), path)
  for (const path of ['', '/', '//a', '/a/../b']) t.throws(() => mutatorPath(path), invalid, path)
})
