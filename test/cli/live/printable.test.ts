import t from 'tap'
import { printable } from '../../../src/cli/live/printable.js'

t.test('what a terminal would obey is written out', async (t) => {
  t.equal(printable('a\x1b[2Jb\r\nc\x9bd'), 'a\\x1b[2Jb\\x0d\\x0ac\\x9bd')
  t.equal(printable('a\u202eb\u2028c'), 'a\\u202eb\\u2028c')
  t.equal(printable('refs/heads/größe'), 'refs/heads/größe')
})
