import t from 'tap'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { breakFs } from '../support/broken-fs.js'
import { bytesOf, producerOf } from '../support/producers.js'
import { filesIn, get, no, nothingLeaks, openCache, put } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

t.test(
  'a crash before any operation of the disk leaves intact entries, and the rest is removed',
  async (t) => {
    const [old, young] = [bytesOf(1, 0, 100_000), bytesOf(2, 0, 100_000)]
    const { cache, directory } = await openCache(t)
    const disk = await breakFs(t)
    const copies: string[] = []
    disk.decide = () => {
      const copy = tempDir(t)
      for (const folder of ['temp', 'entries']) {
        cpSync(join(directory, 'instance-0', folder), join(copy, 'instance-0', folder), { recursive: true })
      }
      copies.push(copy)
      return undefined
    }
    await put(cache, 'key', 'one', old)
    await put(cache, 'key', 'two', young)
    await cache.fill('key', 'three', producerOf(old), no).ended
    cache.remove('key')
    await nothingLeaks(directory)
    disk.decide = () => undefined

    const seen = new Set<string>()
    for (const copy of copies) {
      const { cache: restarted, events } = await openCache(t, { directory: copy })
      const answer = await get(restarted, 'key')
      if (answer) t.ok(answer.equals(old) || answer.equals(young), 'whole')
      const others = events.filter((event) => event !== 'discarded temp' && event !== 'evicted superseded')
      t.same(others, [], 'nothing counts as damaged')
      t.same(filesIn(copy, 'temp'), [])
      await nothingLeaks(copy)
      seen.add(`${restarted.storeEntries} entries, ${events.join()}`)
      await restarted.close()
    }
    t.comment([...seen].join('; '))
    for (const moment of [
      '0 entries, discarded temp,discarded temp',
      '1 entries, discarded temp',
      '1 entries, ',
    ]) {
      t.ok(seen.has(moment), `there was the moment: ${moment}`)
    }
  },
)
