import t from 'tap'
import { appendFileSync, cpSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { ask, infoRefs } from '../support/http-client.js'
import { git, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('a repaired repository is served at once, however long it was broken', async (t) => {
  const root = tempDir(t)
  const path = makeRepository(root, 'broken.git')
  git(path, 'pack-refs', '--all')
  const packed = join(path, 'packed-refs')
  cpSync(packed, `${packed}.sound`)
  appendFileSync(packed, 'junk\n')
  const sidecar = await startSidecar(t, root)
  const status = async (): Promise<number> => (await ask(infoRefs(sidecar.url, 'broken.git'))).status
  // Consecutive failures make the back-off long; meanwhile no process is started.
  const blocked = (): Promise<number> =>
    sidecar.metric('refstream_fill_failures_total', { fault: 'backing-off' })
  while ((await blocked()) < 50) t.equal(await status(), 503)
  renameSync(`${packed}.sound`, packed)
  t.equal(await status(), 200)
})
