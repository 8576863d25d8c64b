import t from 'tap'
import { realpathSync } from 'node:fs'
import { checkCacheFilesystem, checkRoot } from '../../../src/cli/doctor/filesystem.js'
import { MountTable } from '../../../src/git/filesystem/mount-table.js'
import { tempDir } from '../../support/temp-dir.js'

/** A table as proc_pid_mountinfo(5) has it. */
const mounts = new MountTable(() =>
  Buffer.from(
    '20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n' +
      '21 20 0:40 / /far rw,relatime - nfs4 host:/x rw\n' +
      '22 20 0:41 / /fused rw,relatime - fuse.sshfs host:/x rw\n',
  ),
)

t.test('a cache on a network filesystem is warned of, whether the directory exists or not', async (t) => {
  t.match(checkCacheFilesystem('/far/a/b', mounts), [
    {
      line: /^cache: \/far\/a\/b is on a network filesystem, nfs: .*--cache-dir$/,
      wrong: false,
      isWarning: true,
    },
  ])
  t.match(checkCacheFilesystem('/fused', mounts), [{ line: /network filesystem, fuse: / }])
  t.same(checkCacheFilesystem('/farther', mounts), [])
})

t.test('the root', async (t) => {
  const root = realpathSync(tempDir(t))
  const { line, wrong, isWarning } = await checkRoot(root, mounts)
  t.match(line, new RegExp(`^root: ${root}, on ext4, [\\d.]+ [KMG]iB free$`))
  t.notOk(wrong || isWarning)
  const none = new MountTable(() => Buffer.from(''))
  t.match((await checkRoot(root, none)).line, 'on a filesystem of unknown type')
})
