import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { batchedOutput } from '../../../src/git/process/batched-output.js'

const mib = 1024 * 1024

/** A process that writes that many bytes in pieces of 8 KiB. */
const writer = (bytes: number): ReturnType<typeof spawn> =>
  spawn('dd', ['if=/dev/zero', 'bs=8192', `count=${bytes / 8192}`], { stdio: ['ignore', 'pipe', 'ignore'] })

t.test('a long output comes whole and in larger chunks', async (t) => {
  let [bytes, chunks] = [0, 0]
  for await (const chunk of batchedOutput(writer(8 * mib).stdout!)) {
    bytes += chunk.length
    chunks++
  }
  t.equal(bytes, 8 * mib)
  t.ok(chunks < (8 * mib) / 8192, `${chunks} chunks`)
})

t.test('nothing is lost if the process exits while its output waits for a slow reader', async (t) => {
  for (const length of [128 * 1024, 192 * 1024]) {
    const child = writer(length)
    const exited = once(child, 'exit')
    let bytes = 0
    for await (const chunk of batchedOutput(child.stdout!)) {
      bytes += chunk.length
      if (bytes < 96 * 1024) continue
      await exited
      await sleep(1)
    }
    t.equal(bytes, length)
  }
})

t.test('a reader that stops leaves no listener', async (t) => {
  const { stdout } = writer(mib)
  for await (const chunk of batchedOutput(stdout!)) {
    t.ok(chunk.length > 0)
    break
  }
  t.equal(stdout!.listenerCount('readable'), 0)
  stdout!.destroy()
})
