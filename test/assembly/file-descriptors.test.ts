import t from 'tap'
import { checkFileDescriptors } from '../../src/assembly/file-descriptors.js'

t.test('few descriptors for many requests are warned of, with what to do', async (t) => {
  const warned: string[] = []
  const log = { warn: (_fields: object, line: string) => void warned.push(line) }
  const check = (maxRequests: number, limit: number | undefined): string | undefined => {
    checkFileDescriptors({ maxRequests, maxProcesses: 16 }, log as never, limit)
    return warned.pop()
  }
  t.match(
    check(20_000, 1024),
    /^1024 file descriptors .* 848 requests .* max-requests is 20000: .*LimitNOFILE/,
  )
  t.match(check(20_000, 150), /--max-requests 1$/)
  t.throws(() => check(1, 127), /may have 127 file descriptors, .* 128 are the least: .*ulimit -n/)
  t.equal(check(1, 128), undefined)
  t.equal(check(848, 1024), undefined)
  t.equal(check(20_000, 20_000), undefined)
  t.equal(check(20_000, 1_048_576), undefined)
})
