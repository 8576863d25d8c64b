import t from 'tap'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { InstanceDirectory } from '../../../src/streamcache/disk/instance-directory.js'
import { breakFs, systemError } from '../../support/broken-fs.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('the first free one is acquired; a released one is free again', async (t) => {
  const directory = tempDir(t)
  const [first, second] = [
    await InstanceDirectory.acquire(directory),
    await InstanceDirectory.acquire(directory),
  ]
  t.same([first.number, first.directory], [0, join(directory, 'instance-0')])
  t.same([second.number, second.directory], [1, join(directory, 'instance-1')])
  await first.release()
  const third = await InstanceDirectory.acquire(directory)
  t.equal(third.number, 0)
  await second.release()
  await third.release()
  for (const instance of [0, 1])
    t.same(readdirSync(join(directory, `instance-${instance}`, 'claims')), [], 'no claim is left')
})

t.test('of many that start at once, no two get the same, and one gets the first', async (t) => {
  for (let round = 0; round < 10; round++) {
    const directory = tempDir(t)
    const instances = await Promise.all(Array.from({ length: 6 }, () => InstanceDirectory.acquire(directory)))
    const numbers = instances.map(({ number }) => number).sort()
    t.equal(new Set(numbers).size, 6, numbers.join())
    t.equal(numbers[0], 0)
    await Promise.all(instances.map((instance) => instance.release()))
  }
})

/** Leaves the socket of a process that was killed while it listened. */
async function deadSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  await once(spawn(process.execPath, ['-e', script]), 'close')
}

t.test('the claim of a killed process does not count', async (t) => {
  const directory = tempDir(t)
  const claims = join(directory, 'instance-0', 'claims')
  mkdirSync(claims, { recursive: true })
  for (const name of ['0000000000000000', 'ffffffffffffffff']) {
    await deadSocket(join(claims, name))
    writeFileSync(join(claims, `${name}.held`), '')
  }
  t.equal(readdirSync(claims).length, 4)
  const instance = await InstanceDirectory.acquire(directory)
  t.equal(instance.number, 0)
  t.equal(readdirSync(claims).length, 2, 'the old claims are removed')
  await instance.release()
})

t.test(
  'a living process holds its directory, and of two undecided claims the smaller name wins',
  async (t) => {
    for (const [name, held] of [
      ['0000000000000000', false],
      ['0000000000000000', true],
      ['ffffffffffffffff', true],
      ['ffffffffffffffff', false], // Never decided, as by a process that is suspended.
    ] as const) {
      const directory = tempDir(t)
      const claims = join(directory, 'instance-0', 'claims')
      mkdirSync(claims, { recursive: true })
      const rival = createServer().listen(join(claims, name))
      await once(rival, 'listening')
      if (held) writeFileSync(join(claims, `${name}.held`), '')
      const instance = await InstanceDirectory.acquire(directory)
      t.equal(instance.number, 1, name)
      await instance.release()
      rival.close()
    }
  },
)

t.test('a claim that waits for a rival wins when that withdraws', async (t) => {
  const directory = tempDir(t)
  const claims = join(directory, 'instance-0', 'claims')
  mkdirSync(claims, { recursive: true })
  const rival = createServer((socket) => {
    // Withdraws when it is seen, as a process does that has seen the smaller name.
    socket.destroy()
    rival.close()
  }).listen(join(claims, 'ffffffffffffffff'))
  await once(rival, 'listening')
  const instance = await InstanceDirectory.acquire(directory)
  t.equal(instance.number, 0)
  await instance.release()
})

// Only on Linux is there another path for a long one.
t.test(
  'a directory with a path that is too long for a socket',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const directory = join(tempDir(t), 'x'.repeat(100), 'y'.repeat(100))
    const [first, second] = [
      await InstanceDirectory.acquire(directory),
      await InstanceDirectory.acquire(directory),
    ]
    t.same([first.number, second.number], [0, 1])
    await first.release()
    await second.release()
  },
)

t.test('a removed directory is detected', async (t) => {
  const directory = tempDir(t)
  const instance = await InstanceDirectory.acquire(directory)
  t.ok(await instance.isHeld())
  rmSync(join(directory, 'instance-0'), { recursive: true })
  t.notOk(await instance.isHeld())
  await instance.release()
})

t.test('a directory that cannot be created is reported', async (t) => {
  const file = join(tempDir(t), 'file')
  writeFileSync(file, '')
  await t.rejects(InstanceDirectory.acquire(join(file, 'cache')))
})

t.test('a failure while a directory is acquired leaves no claim', async (t) => {
  const directory = tempDir(t)
  const disk = await breakFs(t)
  for (const operation of ['readdir', 'rename'] as const) {
    disk.decide = (what) => (what === operation ? systemError('EIO') : undefined)
    await t.rejects(InstanceDirectory.acquire(directory), { code: 'EIO' })
    disk.decide = () => undefined
    const instance = await InstanceDirectory.acquire(directory)
    t.equal(instance.number, 0, operation)
    await instance.release()
  }
})
