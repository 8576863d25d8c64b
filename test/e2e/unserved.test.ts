import t from 'tap'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs } from '../support/http-client.js'
import { makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('a repository that exists and is not served is logged once, with advice', async (t) => {
  const directory = tempDir(t)
  const root = join(directory, 'root')
  mkdirSync(root)
  const hidden = makeRepository(root, 'hidden.git', { exported: false })
  makeRepository(directory, 'outside.git')
  symlinkSync('../outside.git', join(root, 'link.git'))
  const linked = makeRepository(root, 'linked.git')
  rmSync(join(linked, 'refs'), { recursive: true })
  symlinkSync('../../outside.git/refs', join(linked, 'refs'))
  const nested = makeRepository(root, 'nested.git')
  makeRepository(nested, '.git')
  const unreadable = makeRepository(root, 'unreadable.git')
  chmodSync(join(unreadable, 'HEAD'), 0)
  chmodSync(directory, 0o755)
  // Root can read everything.
  const isRoot = process.getuid?.() === 0
  const sidecar = await startSidecar(t, root, { cacheDir: join(tempDir(t), 'cache') })
  const reported = (): string[] =>
    sidecar.log
      .filter(({ reason }) => reason !== undefined)
      .map(({ path, reason }) => `${path as string} ${reason as string}`)
  for (let round = 0; round < 3; round++) {
    for (const name of ['hidden.git', 'hidden', 'link.git', 'linked.git', 'nested.git', 'none.git']) {
      const status = (await ask(infoRefs(sidecar.url, name))).status
      // Git enters the repository inside of nested.git.
      t.equal(status, name === 'nested.git' ? 200 : 404, name)
    }
    if (!isRoot) t.equal((await ask(infoRefs(sidecar.url, 'unreadable.git'))).status, 404)
  }
  t.same(reported(), [
    'hidden.git not-exported',
    'link.git outside-root',
    'linked.git outside-root',
    ...(isRoot ? [] : ['unreadable.git unreadable']),
  ])
  writeFileSync(join(hidden, 'git-daemon-export-ok'), '')
  t.equal((await ask(infoRefs(sidecar.url, 'hidden.git'))).status, 200)
  rmSync(join(hidden, 'git-daemon-export-ok'))
  t.equal((await ask(infoRefs(sidecar.url, 'hidden.git'))).status, 404)
  const ofHidden = (): string[] => reported().filter((line) => line.startsWith('hidden.git'))
  // The log comes through a pipe, and may be later than the response.
  await eventually('it is reported again', () => ofHidden().length > 1)
  t.equal(ofHidden().length, 2, 'reported again after it was served')
})
