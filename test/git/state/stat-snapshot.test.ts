import t from 'tap'
import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StatSnapshot } from '../../../src/git/state/stat-snapshot.js'
import { SnapshotMemory } from '../../../src/git/state/snapshot-memory.js'
import { OpenDirectory, placeOf } from '../../../src/git/filesystem/open-directory.js'
import { tempDir } from '../../support/temp-dir.js'

const memory = new SnapshotMemory()
const directory = tempDir(t)
const digest = (use: (snapshot: StatSnapshot) => void): string => {
  const snapshot = new StatSnapshot(memory)
  use(snapshot)
  return snapshot.digest()
}
const file = (name: string, text = ''): string => {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

t.test('every kind of change moves the digest', async (t) => {
  const path = file('changing')
  let before = digest((snapshot) => snapshot.stat(placeOf(path)))
  const moved = (what: string): void => {
    const after = digest((snapshot) => snapshot.stat(placeOf(path)))
    t.not(after, before, what)
    before = after
  }
  t.equal(
    digest((snapshot) => snapshot.stat(placeOf(path))),
    before,
    'no change, no move',
  )
  writeFileSync(path, 'longer')
  moved('size')
  utimesSync(path, 1, 1)
  moved('mtime, set by hand')
  await sleep(20)
  writeFileSync(path, 'LONGER')
  utimesSync(path, 1, 1)
  moved('content, with size and mtime as before: ctime tells')
  writeFileSync(`${path}.new`, 'LONGER')
  renameSync(`${path}.new`, path)
  moved('another inode')
  chmodSync(path, 0o600)
  moved('permissions')
  rmSync(path)
  moved('gone')
  mkdirSync(path)
  moved('a directory in its place')
})

t.test('stat follows a link, lstat does not', async (t) => {
  const target = file('target')
  const link = join(directory, 'link')
  symlinkSync(target, link)
  const [followed, itself] = [
    digest((snapshot) => snapshot.stat(placeOf(link))),
    digest((snapshot) => snapshot.record(placeOf(link), snapshot.lstat(placeOf(link)))),
  ]
  writeFileSync(target, 'changed')
  t.not(
    digest((snapshot) => snapshot.stat(placeOf(link))),
    followed,
  )
  t.equal(
    digest((snapshot) => snapshot.record(placeOf(link), snapshot.lstat(placeOf(link)))),
    itself,
  )
})

t.test('a path that cannot exist counts as absent', async (t) => {
  const loop = join(directory, 'loop')
  symlinkSync(loop, loop)
  const plain = file('plain')
  for (const path of [
    `${directory}/none`,
    `${plain}/below`,
    '/dev/null/.gitconfig',
    loop,
    `/${'x'.repeat(300)}`,
  ]) {
    const snapshot = new StatSnapshot(memory)
    t.equal(snapshot.stat(placeOf(path)), undefined, path)
    t.equal(snapshot.unsettledMs, 0)
    t.doesNotThrow(() => snapshot.recordContent(placeOf(path)), path)
  }
  t.throws(() => new StatSnapshot(memory).stat(placeOf('a\0b')), 'an invalid argument is an error')
})

t.test('recordContent tells files apart by their bytes', async (t) => {
  const path = file('tables.list', 'one\n')
  const before = digest((snapshot) => snapshot.recordContent(placeOf(path)))
  t.equal(
    digest((snapshot) => snapshot.recordContent(placeOf(path))),
    before,
  )
  writeFileSync(path, 'two\n')
  t.not(
    digest((snapshot) => snapshot.recordContent(placeOf(path))),
    before,
  )
  writeFileSync(path, 'one\n')
  t.equal(
    digest((snapshot) => snapshot.recordContent(placeOf(path))),
    before,
    'the same bytes again',
  )
  t.equal(
    digest((snapshot) => snapshot.recordContent(placeOf(directory))),
    digest((snapshot) => snapshot.recordContent(placeOf(directory))),
    'not a file',
  )
})

t.test('a change is unsettled as long as another could have the same timestamp', async (t) => {
  const path = file('young')
  // The clock is stopped at the time of the change, however slow this process is.
  const clock = t.capture(Date, 'now', () => Number(statSync(path, { bigint: true }).ctimeNs / 1_000_000n))
  const young = new StatSnapshot(memory)
  young.stat(placeOf(path))
  t.ok(young.unsettledMs > 0 && young.unsettledMs <= 25, `${young.unsettledMs} ms`)
  clock.restore()
  // A timer may fire slightly early.
  await sleep(young.unsettledMs + 2)
  const old = new StatSnapshot(memory)
  old.stat(placeOf(path))
  t.equal(old.unsettledMs, 0)
  t.equal(old.digest(), young.digest())
})

t.test('timestamps of whole seconds are trusted after two seconds', async (t) => {
  // No filesystem here stores whole seconds only, so the stat is made up.
  const whole = { ...statSync(directory, { bigint: true }), ctimeNs: nanoseconds(Date.now() - 1000, true) }
  const exact = { ...whole, ctimeNs: nanoseconds(Date.now() - 1000, false) }
  let derived = 0
  const derive = (stats: typeof whole): void => {
    new StatSnapshot(memory).derive('test', placeOf('whole'), stats, () => ++derived)
  }
  derive(whole)
  derive(whole)
  t.equal(derived, 2, 'a second old: what was derived is not kept')
  derive(exact)
  derive(exact)
  t.equal(derived, 3, 'with nanoseconds it is')
})

t.test('a derived value is remembered until the stat changes', async (t) => {
  const path = file('derived')
  await sleep(25)
  let derived = 0
  const derive = (what = 'a'): number => {
    const snapshot = new StatSnapshot(memory)
    return snapshot.derive(what, placeOf(path), snapshot.stat(placeOf(path))!, () => ++derived)
  }
  t.equal(derive(), 1)
  t.equal(derive(), 1)
  t.equal(derive('b'), 2, 'for each kind of value')
  writeFileSync(path, 'changed')
  const changedAt = Number(statSync(path, { bigint: true }).ctimeNs / 1_000_000n)
  t.capture(Date, 'now', () => changedAt)
  t.equal(derive(), 3, 'derived anew')
  t.equal(derive(), 4, 'and not kept while it is young')
})

function nanoseconds(ms: number, whole: boolean): bigint {
  const seconds = BigInt(Math.floor(ms / 1000)) * 1_000_000_000n
  return whole ? seconds : seconds + 1n
}

t.test(
  'with a wall clock that was put back, a timestamp is distrusted for one tick of the monotonic clock',
  async (t) => {
    const path = file('future')
    const own = new SnapshotMemory()
    let steadyMs = 1000
    const behindMs = 3_600_000
    const at = (wallMs: number): StatSnapshot => {
      const snapshot = new StatSnapshot(own, { wall: () => wallMs, steady: () => steadyMs })
      snapshot.stat(placeOf(path))
      return snapshot
    }
    const first = at(Date.now() - behindMs)
    t.ok(first.unsettledMs > 0 && first.unsettledMs <= 25, `${first.unsettledMs} ms`)
    t.ok(first.aheadMs > behindMs - 1000, 'and it can be told')
    steadyMs += first.unsettledMs - 1
    t.equal(at(Date.now() - behindMs).unsettledMs, 1)
    steadyMs += 1
    t.equal(at(Date.now() - behindMs).unsettledMs, 0)
    writeFileSync(path, 'again')
    t.ok(at(Date.now() - behindMs).unsettledMs > 0, 'a change is distrusted again')
    steadyMs += 25
    t.equal(at(Date.now() - behindMs).unsettledMs, 0)
    t.equal(at(Date.now() + 1000).unsettledMs, 0, 'the clock is right again')
    t.equal(at(Date.now() + 1000).aheadMs, 0)
  },
)

t.test('entries of a directory are remembered until the directory changes', async (t) => {
  const path = join(directory, 'listed')
  mkdirSync(path)
  writeFileSync(join(path, 'a'), '')
  symlinkSync('a', join(path, 'b'))
  mkdirSync(join(path, 'c'))
  const entries = (): Record<string, string> | undefined => {
    const opened = OpenDirectory.open(path)!
    const known = new StatSnapshot(memory).entries(opened)
    opened.close()
    return known && Object.fromEntries(known)
  }
  const all = { a: 'other', b: 'link', c: 'directory' }
  t.same(entries(), all, 'while it is young')
  await sleep(25)
  t.same(entries(), all)
  t.same(entries(), all)
  renameSync(join(path, 'c'), join(path, 'd'))
  t.same(entries(), { a: 'other', b: 'link', d: 'directory' })
  for (let index = 0; index < 1000; index++) writeFileSync(join(path, `many-${index}`), '')
  t.equal(entries(), undefined, 'too many entries are not remembered')
  const crowded = OpenDirectory.open(path)!
  t.ok(new StatSnapshot(memory).lstatIn(crowded, 'many-7')?.isFile(), 'each is checked by itself')
  t.equal(new StatSnapshot(memory).lstatIn(crowded, 'e'), undefined)
  crowded.close()
  const opened = OpenDirectory.open(path)!
  const snapshot = new StatSnapshot(memory)
  t.equal(snapshot.lstatIn(opened, 'e'), undefined)
  t.ok(snapshot.lstatIn(opened, 'b')?.isSymbolicLink())
  opened.close()
})
