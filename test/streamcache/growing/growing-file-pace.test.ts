import t from 'tap'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../support/eventually.js'
import { growingFile, noSpace } from '../../support/growing-file.js'
import { bytesOf, collect, pending, readUntil, turns } from '../../support/producers.js'

const mib = 1 << 20

t.test('with a disk, only the fastest follower counts', async (t) => {
  const { file } = await growingFile(t, { maxLeadBytes: mib })
  const [fast, slow] = [file.follow(), file.follow()]
  await file.append(bytesOf(1, 0, mib))
  const ahead = file.append(bytesOf(1, mib, 1))
  t.ok(await pending(ahead), 'one byte too far ahead of both')
  await readUntil(fast, 1)
  await ahead
  for (let part = 1; part < 8; part++) {
    const appended = file.append(bytesOf(1, file.length, mib))
    await readUntil(fast, file.length)
    await appended
  }
  t.equal(slow.offset, 0)
  t.ok(file.joinable)
  file.complete()
  t.ok((await collect(slow)).equals(bytesOf(1, 0, file.length)))
  fast.close()
})

t.test('a paused writer goes on when the followers leave, and when the file fails', async (t) => {
  const { file, directory } = await growingFile(t, { maxLeadBytes: mib / 4 })
  const [first, second] = [file.follow(), file.follow()]
  const paused = file.append(bytesOf(1, 0, mib))
  first.close()
  // Nothing but a follower may wake the writer now.
  await eventually('the disk is done', () => statSync(join(directory, 'temporary')).size === mib)
  await turns()
  t.ok(await pending(paused))
  second.close()
  await paused
  await file.append(bytesOf(1, mib, mib))
  t.pass('without followers it does not pause')

  const third = file.follow()
  const again = file.append(bytesOf(1, 2 * mib, 1))
  t.ok(await pending(again))
  file.fail(new Error('broken'))
  await again
  third.close()
})

t.test('a disk that is too slow makes the writer wait', async (t) => {
  const { file, disk } = await growingFile(t, { stored: false, maxLeadBytes: 1 << 30 })
  await file.append(bytesOf(1, 0, 16 * mib))
  const ahead = file.append(bytesOf(1, 16 * mib, 1))
  t.ok(await pending(ahead), 'more than 16 MiB wait for the disk')
  file.spill.storeOn(disk)
  await ahead
})

t.test('without a disk the slowest sets the pace, once the stream is longer than the lead', async (t) => {
  const { file } = await growingFile(t, { stored: false, maxLeadBytes: mib })
  file.spill.storeOn(undefined)
  const [fast, slow] = [file.follow(), file.follow()]
  await file.append(bytesOf(1, 0, mib))
  t.ok(file.joinable)
  const ahead = file.append(bytesOf(1, mib, mib))
  t.notOk(file.joinable, 'its beginning is about to go')
  t.throws(() => file.follow(), /beginning/)
  await readUntil(fast, 2 * mib)
  t.ok(await pending(ahead), 'the fast one does not count')
  await readUntil(slow, mib)
  await ahead
  t.equal(file.hotBytes, mib, 'blocks that both have read are dropped')
  file.complete()
  while (await slow.read());
  t.equal(slow.offset, 2 * mib)
  fast.close()
  slow.close()
})

t.test('without a disk and without followers memory stays bounded', async (t) => {
  const { file } = await growingFile(t, { stored: false, maxLeadBytes: mib })
  file.spill.storeOn(undefined)
  const follower = file.follow()
  await file.append(bytesOf(1, 0, mib))
  follower.close()
  for (let part = 1; part < 20; part++) await file.append(bytesOf(1, part * mib, mib))
  t.ok(file.hotBytes <= 2 * mib, `${file.hotBytes} bytes in memory`)
})

t.test('a disk that fails wakes a writer that waits for it', async (t) => {
  const { file, disk } = await growingFile(t, { stored: false, maxLeadBytes: 1 << 30 })
  t.capture(disk, 'write', async () => Promise.reject(noSpace()))
  const ahead = file.append(bytesOf(1, 0, 20 * mib))
  await turns()
  file.spill.storeOn(disk)
  await ahead
})

t.test(
  'without a disk, a follower that stops while another waits is closed; the others get all',
  async (t) => {
    const test = await growingFile(t, { stored: false, maxLeadBytes: mib, patienceMs: 50 })
    const { file } = test
    file.spill.storeOn(undefined)
    const [fast, stopped] = [file.follow(), file.follow()]
    const all = collect(fast)
    for (let part = 0; part < 4; part++) {
      if (part === 1) await readUntil(stopped, mib)
      await file.append(bytesOf(1, part * mib, mib))
    }
    file.complete()
    t.ok((await all).equals(bytesOf(1, 0, 4 * mib)))
    t.throws(() => stopped.read(), { name: 'FillError', fault: 'stalled' })
    t.equal(test.followers, 0)
  },
)

t.test('without a disk, a follower that is alone may stop', async (t) => {
  const { file } = await growingFile(t, { stored: false, maxLeadBytes: mib, patienceMs: 1 })
  file.spill.storeOn(undefined)
  const [alone, other] = [file.follow(), file.follow()]
  other.close()
  const ahead = file.append(bytesOf(1, 0, 2 * mib))
  await sleep(20)
  t.ok(await pending(ahead))
  await readUntil(alone, mib)
  await ahead
  alone.close()
})

t.test('with a disk, a follower that stops is not closed', async (t) => {
  const { file } = await growingFile(t, { maxLeadBytes: mib, patienceMs: 1 })
  const [fast, stopped] = [file.follow(), file.follow()]
  const all = collect(fast)
  for (let part = 0; part < 8; part++) await file.append(bytesOf(1, part * mib, mib))
  await sleep(20)
  file.complete()
  for (const bytes of [await all, await collect(stopped)]) t.ok(bytes.equals(bytesOf(1, 0, 8 * mib)))
})
