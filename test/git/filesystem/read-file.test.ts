import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readRegularFile } from '../../../src/git/filesystem/read-file.js'
import { oddFiles } from '../../support/odd-files.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('a regular file is read whole; anything else fails without a wait', async (t) => {
  const path = join(tempDir(t), 'file')
  writeFileSync(path, 'ref: refs/heads/main\n')
  t.equal(readRegularFile(path).toString(), 'ref: refs/heads/main\n')
  t.equal(readRegularFile(Buffer.from(path)).length, 21)
  for (const [name, make] of Object.entries(oddFiles)) {
    const odd = join(tempDir(t), 'odd')
    await make(odd)
    t.throws(() => readRegularFile(odd), Error, name)
  }
})
