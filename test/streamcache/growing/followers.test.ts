import t, { type Test } from 'tap'
import { Follower, type Followed } from '../../../src/streamcache/growing/follower.js'
import { Followers } from '../../../src/streamcache/growing/followers.js'

/** A file of 100 bytes that are there; reads of more wait for ever. */
class File implements Followed {
  readonly size = undefined
  readonly followers: Followers
  readonly length = 100

  constructor(followers: Followers) {
    this.followers = followers
  }
  read(offset: number): Buffer | Promise<Buffer> {
    return offset < this.length ? Buffer.alloc(10) : new Promise(() => {})
  }
  advanced(): void {}
  detach(follower: Follower): void {
    this.followers.delete(follower)
  }
  /** Attaches a follower that has read that many bytes; at the end of the file it waits for more. */
  followAt(offset: number): Follower {
    const follower = new Follower(this)
    this.followers.add(follower)
    while (follower.offset < offset) follower.read()
    if (offset === this.length) Promise.resolve(follower.read()).catch(() => {})
    return follower
  }
}

function fake(t: Test): { followers: Followers; file: File; pass: (ms: number) => void } {
  let now = 1000
  t.capture(performance, 'now', () => now)
  const followers = new Followers()
  return { followers, file: new File(followers), pass: (ms) => (now += ms) }
}

t.test('the slowest and the fastest', async (t) => {
  const { followers, file } = fake(t)
  t.same([followers.slowest(100), followers.fastest(), followers.count], [100, 0, 0])
  const slow = file.followAt(20)
  file.followAt(50)
  t.same([followers.slowest(100), followers.fastest(), followers.count], [20, 50, 2])
  slow.close()
  t.same([followers.slowest(100), followers.fastest(), followers.count], [50, 50, 1])
})

t.test('they are shared from the second on, or once more are expected', async (t) => {
  const { followers, file } = fake(t)
  file.followAt(0).close()
  t.notOk(followers.shared)
  file.followAt(0)
  t.ok(followers.shared, 'also if the first has left')
  const others = new Followers()
  others.expectMore()
  t.ok(others.shared)
})

t.test('one that reads nothing for 5 seconds while another waits is closed with an error', async (t) => {
  const { followers, file, pass } = fake(t)
  const [slow, near, waiting] = [file.followAt(20), file.followAt(60), file.followAt(100)]
  t.equal(followers.closeStalled(50), 5000)
  pass(3000)
  t.equal(followers.closeStalled(50), 2000)
  pass(2000)
  t.equal(followers.closeStalled(50), 0)
  t.throws(() => slow.read(), { name: 'FillError', fault: 'stalled', message: /nothing for 5 seconds/ })
  t.equal(followers.count, 2, 'one that does not hold up the writer stays')
  t.equal(followers.closeStalled(50), 5000)
  for (const each of [near, waiting]) each.close()
})

t.test('several that have stalled are closed at once', async (t) => {
  const { followers, file, pass } = fake(t)
  file.followAt(20)
  file.followAt(40)
  file.followAt(100)
  followers.closeStalled(30)
  pass(5000)
  followers.closeStalled(30)
  t.equal(followers.count, 2)
  t.equal(followers.closeStalled(50), 0, 'the next one has been seen there for as long')
  t.equal(followers.count, 1)
})

t.test('one that goes on reading, however slowly, is not closed', async (t) => {
  const { followers, file, pass } = fake(t)
  const slow = file.followAt(0)
  file.followAt(100)
  for (let reads = 0; reads < 4; reads++) {
    t.equal(followers.closeStalled(50), 5000)
    pass(4999)
    t.equal(followers.closeStalled(50), 1)
    slow.read()
  }
  t.equal(followers.count, 2)
})

t.test('none is closed that no other waits for', async (t) => {
  for (const others of [[], [30], [60]]) {
    const { followers, file, pass } = fake(t)
    file.followAt(20)
    for (const other of others) file.followAt(other)
    followers.closeStalled(50)
    pass(60_000)
    t.equal(followers.closeStalled(50), others.length === 0 ? undefined : 5000)
    t.equal(followers.count, 1 + others.length)
  }
})

t.test('one that waits for the disk itself is not closed', async (t) => {
  const { followers, file, pass } = fake(t)
  const slow = file.followAt(20)
  file.followAt(100)
  t.capture(file, 'read', () => new Promise(() => {}))
  Promise.resolve(slow.read()).catch(() => {})
  followers.closeStalled(50)
  pass(60_000)
  t.equal(followers.closeStalled(50), 5000)
  t.equal(followers.count, 2)
})
