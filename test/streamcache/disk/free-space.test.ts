import t from 'tap'
import type { Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { FreeSpace, type Free } from '../../../src/streamcache/disk/free-space.js'
import { replaceStatfs, systemError } from '../../support/broken-fs.js'
import { eventually } from '../../support/eventually.js'
import { tempDir } from '../../support/temp-dir.js'

const ample = { type: 0, bsize: 4096, blocks: 1000, bfree: 900, bavail: 500, files: 1000, ffree: 400 }

/** A filesystem whose statfs(2) the test sets. */
function filesystem(
  t: Test,
  first: Partial<typeof ample> | Error,
): { now: Partial<typeof ample> | Error; queries: number } {
  const state = { now: first, queries: 0 }
  const statfs = async (): Promise<typeof ample> => {
    state.queries++
    if (state.now instanceof Error) throw state.now
    return { ...ample, ...state.now }
  }
  replaceStatfs(t, statfs)
  return state
}

const limits = { minFreeBytes: 4096 * 100, minFreeInodes: 100 }

t.test('too few free bytes for this user, or too few inodes', async (t) => {
  const answers: [Partial<typeof ample>, boolean][] = [
    [{}, true],
    [{ bavail: 100 }, true],
    [{ bavail: 99 }, false],
    [{ ffree: 100 }, true],
    [{ ffree: 99 }, false],
    [{ files: 0, ffree: 0 }, true],
    [{ files: 0, ffree: 0, bavail: 99 }, false],
    [{ blocks: 0, bavail: 0 }, true],
  ]
  for (const [says, enough] of answers) {
    const reported: (Free | undefined)[] = []
    filesystem(t, says)
    const space = new FreeSpace('/cache', limits, (short) => reported.push(short))
    t.equal(await space.enough(), enough, JSON.stringify(says))
    t.equal(reported.length, enough ? 0 : 1)
  }
})

t.test('a filesystem that cannot be queried does not prevent storing', async (t) => {
  filesystem(t, systemError('ENOENT'))
  t.ok(await new FreeSpace('/cache', limits, () => t.fail('reported')).enough())
})

t.test('without limits the filesystem is not queried', async (t) => {
  const says = filesystem(t, { bavail: 0 })
  t.ok(
    await new FreeSpace('/cache', { minFreeBytes: 0, minFreeInodes: 0 }, () => t.fail('reported')).enough(),
  )
  t.equal(says.queries, 0)
})

t.test('an answer is reused for a second; each change is reported once', async (t) => {
  const says = filesystem(t, { bavail: 5 })
  const reported: (Free | undefined)[] = []
  const space = new FreeSpace('/cache', limits, (short) => reported.push(short))
  const answers = await Promise.all(Array.from({ length: 50 }, () => space.enough()))
  t.ok(answers.every((enough) => !enough))
  t.equal(says.queries, 1)
  t.same(reported, [{ bytes: 5 * 4096, inodes: 400 }])
  await eventually(
    'it is queried again',
    async () => (await space.enough(), await sleep(20), says.queries > 1),
  )
  t.equal(reported.length, 1, 'nothing has changed')
  says.now = {}
  await eventually('there is enough space', () => space.enough())
  t.same(reported.slice(1), [undefined])
})

t.test('a real filesystem', async (t) => {
  const directory = tempDir(t)
  t.ok(
    await new FreeSpace(directory, { minFreeBytes: 1, minFreeInodes: 1 }, () => t.fail('reported')).enough(),
  )
  t.notOk(await new FreeSpace(directory, { minFreeBytes: 2 ** 60, minFreeInodes: 0 }, () => {}).enough())
})
