import t from 'tap'
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openRegularFile } from '../../../src/git/filesystem/open-regular-file.js'
import { oddFiles } from '../../support/odd-files.js'
import { tempDir } from '../../support/temp-dir.js'

/** Returns what this process holds open below a directory. */
function openBelow(directory: string): string[] {
  const targets: string[] = []
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      targets.push(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      // It was that of the listing.
    }
  }
  return targets.filter((target) => target.startsWith(directory))
}

t.test('a regular file is opened, with its stat', async (t) => {
  const path = join(tempDir(t), 'file')
  writeFileSync(path, 'content')
  const file = await openRegularFile(path)
  t.equal(file?.stats.size, 7n)
  t.equal((await file?.handle.readFile())?.toString(), 'content')
  await file?.handle.close()
})

t.test('nothing else is, and nothing stays open', async (t) => {
  const dir = tempDir(t)
  for (const [name, make] of Object.entries(oddFiles)) {
    if (name.startsWith('a file')) continue
    const path = join(dir, name)
    await make(path)
    const opened = openRegularFile(Buffer.from(path))
    // Of these, opening itself fails.
    if (/link|socket/.test(name)) await t.rejects(opened, { code: /ELOOP|ENXIO/ }, name)
    else t.equal(await opened, undefined, name)
  }
  await t.rejects(openRegularFile(join(dir, 'missing')), { code: 'ENOENT' })
  t.same(openBelow(dir), [])
})
