import t from 'tap'
import { readFileSync } from 'node:fs'
import { allocate } from '../../../src/streamcache/memory/allocate.js'

t.test('exactly that many bytes are allocated, small or large', (t) => {
  for (const length of [0, 1, 64 * 1024 - 1, 64 * 1024, 256 * 1024, 1_000_001]) {
    const bytes = allocate(length)
    t.equal(bytes.length, length)
    t.ok(bytes.fill(1).equals(Buffer.alloc(length, 1)))
  }
  t.end()
})

/** Kilobytes of this process that fork(2) would copy: mappings without the flag `dc` (proc_pid_smaps(5)). */
function forked(): number {
  let kilobytes = 0
  for (const mapping of readFileSync('/proc/self/smaps', 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    if (!/^VmFlags:.* dc( |$)/m.test(mapping)) kilobytes += Number(/^Rss: +(\d+)/m.exec(mapping)?.[1] ?? 0)
  }
  return kilobytes
}

t.test(
  'memory that is kept is not copied when a process is started',
  { skip: process.platform !== 'linux' },
  (t) => {
    const before = forked()
    const kept = Array.from({ length: 400 }, () => allocate(256 * 1024).fill(1))
    t.ok(forked() - before < 20_000, `of ${kept.length} blocks of 256 KB`)
    t.end()
  },
)
