import t from 'tap'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { Git } from '../../src/git/process/git.js'
import { RepositoriesRoot } from '../../src/git/state/repositories-root.js'
import { inspect, type Inspected, type InspectionOptions } from '../../src/service/inspection.js'
import { git, gitEnvironment, initBare, makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

t.test('every repository is found, with its mode or the reason why it is not served', async (t) => {
  const root = realpathSync(tempDir(t))
  const deep = makeRepository(root, 'deep.git')
  for (const name of ['a', 'b', 'c', 'd']) git(deep, 'update-ref', `refs/heads/${name}/x`, 'main')
  initBare(root, 'hidden.git', { exported: false })
  initBare(root, 'mirrors/m.git')
  const options: InspectionOptions = {
    root: new RepositoriesRoot(root),
    git: new Git({ path: 'git', environment: gitEnvironment }),
    rules: [{ glob: 'mirrors/**', mode: 'lease' }],
    // With refs, refs/heads and refs/tags deep.git has seven.
    directoriesMax: 6,
  }
  const all = async (changes: Partial<InspectionOptions>, ...paths: string[]) => {
    const { installation, repositories } = await inspect({ ...options, ...changes }, paths)
    t.match(installation.version, /^2\.\d+/)
    const found: Inspected[] = []
    for await (const repository of repositories) found.push(repository)
    return found
  }
  const local = { mode: 'observe', reason: 'local' }
  const at = (path: string, decision: object, exported = true) => ({
    path,
    found: { gitDir: join(root, path), exported, decision },
  })
  t.match(await all({}), [
    at('deep.git', { mode: 'lease', reason: 'directories' }),
    at('hidden.git', local, false),
    at('mirrors/m.git', { mode: 'lease', reason: 'configured', detail: 'mirrors/**' }),
  ])
  t.match(await all({ directoriesMax: 7 }, 'deep'), [{ path: 'deep', found: { decision: local } }])
  t.match(await all({ rules: [{ glob: '**', mode: 'observe' }] }, 'deep.git'), [
    at('deep.git', { mode: 'observe', reason: 'configured' }),
  ])
  t.strictSame(await all({}, 'nothing', '../x', ''), [{ path: 'nothing' }, { path: '../x' }, { path: '' }])
})
