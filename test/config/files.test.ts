import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readFileUpTo, readSettingFile } from '../../src/config/files.js'
import { hasMkfifo, makeFifo, oddFiles } from '../support/odd-files.js'
import { tempDir } from '../support/temp-dir.js'

t.test('a file is read whole', async (t) => {
  const path = join(tempDir(t), 'file')
  for (const length of [0, 1, 65_535, 65_536, 65_537, 1_000_000]) {
    const bytes = Buffer.alloc(length, 'refs')
    writeFileSync(path, bytes)
    t.ok(readSettingFile(path).equals(bytes))
    t.ok(readFileUpTo(path, length)?.equals(bytes))
    if (length > 0) t.equal(readFileUpTo(path, length - 1), undefined, 'too large')
  }
  t.equal(readSettingFile('/dev/null').length, 0)
  t.throws(() => readSettingFile(join(path, 'x')), { code: 'ENOTDIR' })
  t.throws(() => readFileUpTo(`${path}.not`, 1), { code: 'ENOENT' })
})

t.test('reading something else than a file, or without an end, fails in a limited time', async (t) => {
  for (const [name, make] of Object.entries(oddFiles)) {
    const path = join(tempDir(t), 'odd')
    await make(path)
    t.throws(() => readSettingFile(path), Error, name)
    t.equal(readFileUpTo(path, 1_000_000), undefined, name)
  }
  t.throws(() => readSettingFile('/dev/zero'), /longer than 16777216 bytes/)
})

t.test(
  'a pipe such as a shell’s <(...) is read to its end',
  { skip: !hasMkfifo && 'no mkfifo' },
  async (t) => {
    const path = join(tempDir(t), 'pipe')
    makeFifo(path)
    const script = 'exec 3> "$1"; printf one >&3; sleep 0.05; printf two >&3; head -c 200000 /dev/zero >&3'
    const writer = spawn('sh', ['-c', script, 'sh', path])
    const ended = once(writer, 'close')
    const bytes = readSettingFile(path)
    t.equal(bytes.toString('latin1', 0, 6), 'onetwo')
    t.equal(bytes.length, 200_006)
    await ended
    t.ok(readSettingFile(path).equals(bytes), 'what came out is remembered: settings are read more than once')
  },
)
