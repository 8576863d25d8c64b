import t, { type Test } from 'tap'
import { spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { logTo } from '../../src/telemetry/log.js'
import { LogOutput, type LogOutputOptions } from '../../src/telemetry/log-output.js'
import { eventually } from '../support/eventually.js'
import { tempDir } from '../support/temp-dir.js'

/** Returns an output into a pipe, and a function that reads all that has arrived. */
function openPipe(t: Test, options: LogOutputOptions = {}) {
  const path = join(tempDir(t), 'pipe')
  spawnSync('mkfifo', [path])
  const from = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const to = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  t.teardown(() => closeSync(to))
  const buffer = Buffer.alloc(1024 * 1024)
  let text = ''
  const read = (): string => {
    try {
      for (let count; (count = readSync(from, buffer)) > 0;) text += buffer.toString('latin1', 0, count)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
    return text
  }
  return { output: new LogOutput(to, { retryMs: 5, ...options }), read, close: () => closeSync(from) }
}

const line = (index: number, length = 100): string => `${index}:${'x'.repeat(length)}\n`

t.test('all lines arrive whole and in order, whatever their lengths', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(5000), { minLength: 1, maxLength: 100 }), async (lengths) => {
      const { output, read, close } = openPipe(t)
      const lines = lengths.map((length, index) => line(index, length))
      for (const each of lines) output.write(each)
      await eventually('all are written', () => read() === lines.join('') && output.waiting === 0)
      t.equal(output.dropped, 0)
      close()
    }),
    { numRuns: 20 },
  )
})

t.test(
  'lines for a pipe that is not read are buffered, then dropped; one line reports that later',
  async (t) => {
    const { output, read, close } = openPipe(t, { maxBytes: 50_000 })
    const log = logTo(output, 'info')
    const count = 5000
    for (let index = 0; index < count; index++) {
      log.info({ index }, 'x'.repeat(100))
      if (index % 10 === 0) await new Promise(setImmediate)
      t.ok(output.waiting <= 50_000)
    }
    t.ok(output.dropped > 0)
    const { dropped } = output
    await eventually('it is reported', () => read().includes('were dropped'))
    const entries = read()
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as { index?: number; lines?: number; msg: string })
    const written = entries.filter(({ index }) => index !== undefined)
    t.equal(written.length, count - dropped, 'each line is there or counted')
    t.same(
      entries.flatMap(({ lines }) => lines ?? []),
      [dropped],
    )
    close()
  },
)

t.test('end() does not wait for a pipe that is not read', async (t) => {
  const { output, read, close } = openPipe(t)
  for (let index = 0; index < 3000; index++) output.write(line(index))
  const start = performance.now()
  output.end(100)
  t.ok(performance.now() - start < 5000)
  const arrived = read().split('\n').length - 1
  t.ok(
    output.dropped > 0 && output.dropped <= 3000 - arrived,
    `${output.dropped} of those that did not arrive`,
  )
  output.write('more\n')
  output.end(100)
  t.notMatch(read(), /more/)
  close()
})

t.test('end() writes the buffer if the output takes it', async (t) => {
  const { output, read, close } = openPipe(t)
  for (let index = 0; index < 200; index++) output.write(line(index))
  output.end(1000)
  await eventually('all is there', () => read().split('\n').length === 201)
  t.equal(output.dropped, 0)
  close()
})

t.test('a full disk, or a reader that has gone, does not stop the program', async (t) => {
  const { output: gone, close } = openPipe(t, { maxBytes: 1000 })
  close()
  const fd = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(fd))
  for (const output of [gone, new LogOutput(fd, { maxBytes: 1000, retryMs: 5 })]) {
    for (let index = 0; index < 100; index++) {
      output.write(line(index))
      await new Promise(setImmediate)
      t.ok(output.waiting <= 1000)
    }
    output.end(60_000)
    // A write in progress at the end counts as done.
    t.ok(output.dropped >= 99, `${output.dropped} dropped`)
  }
})
