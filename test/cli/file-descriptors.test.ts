import t from 'tap'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tooFewDescriptors } from '../../src/cli/file-descriptors.js'
import { ConfigError } from '../../src/config/values/config-error.js'
import { systemError } from '../support/broken-fs.js'
import { cleanEnvironment, program } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('errors that mean that descriptors have run out are told from others', async (t) => {
  const error = systemError('EMFILE')
  t.match(
    tooFewDescriptors(error, 64),
    /file descriptor limit of this process, 64, is too low: .*ulimit -n 65536/,
  )
  t.match(tooFewDescriptors(new ConfigError('x', { cause: error }), undefined), /no file descriptor left/)
  t.match(tooFewDescriptors(systemError('ENFILE'), 64), /whole system/)
  t.match(tooFewDescriptors(systemError('ERR_MODULE_NOT_FOUND'), 64), /too low/)
  t.equal(tooFewDescriptors(systemError('ERR_MODULE_NOT_FOUND'), 1024), undefined)
  t.equal(tooFewDescriptors(systemError('ENOENT'), 64), undefined)
  t.equal(tooFewDescriptors('EMFILE', 64), undefined)
})

const skip = !existsSync('/proc/self/limits') && 'no /proc'

t.test('a start with too few descriptors fails with one line', { skip }, async (t) => {
  for (const limit of [32, 64, 100, 127]) {
    // Without what the test runner has every Node process load.
    const command = `ulimit -n ${limit}; exec env -i PATH="$PATH" "$0" "$1" serve --root "$2" --listen 127.0.0.1:0`
    const { status, stderr } = spawnSync('sh', ['-c', command, process.execPath, program, tempDir(t)], {
      env: cleanEnvironment,
      encoding: 'utf8',
    })
    t.equal(status, 2, `${limit}`)
    t.match(
      stderr,
      new RegExp(`^refstream: the file descriptor limit of this process, ${limit}, is too low.*\\n$`),
    )
  }
})
