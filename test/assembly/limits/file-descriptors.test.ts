import t from 'tap'
import { checkFileDescriptors } from '../../../src/assembly/limits/file-descriptors.js'

t.test('a low file descriptor limit is warned of, with a remedy', async (t) => {
  const warned: string[] = []
  const log = { warn: (_fields: object, line: string) => void warned.push(line) }
  const check = (maxRequests: number, limit: number | undefined): string | undefined => {
    checkFileDescriptors({ maxRequests, maxProcesses: 16 }, log as never, limit)
    return warned.pop()
  }
  t.match(
    check(20_000, 1024),
    /^a file descriptor limit of 1024 .* 784 requests .* max-requests is 20000: .*LimitNOFILE/,
  )
  t.match(check(20_000, 150), /--max-requests 1$/)
  t.throws(
    () => check(1, 127),
    /descriptor limit of this process, 127, is too low; at least 128 .*: .*ulimit -n/,
  )
  t.equal(check(1, 128), undefined)
  t.equal(check(784, 1024), undefined)
  t.equal(check(20_000, 20_000), undefined)
  t.equal(check(20_000, 1_048_576), undefined)
})
