import t from 'tap'
import { spawn } from 'node:child_process'
import { ChildCpu, childCpu, childSeconds } from '../../../src/git/process/child-cpu.js'

const close = (a: number | undefined, b: number): boolean => a !== undefined && Math.abs(a - b) < 1e-9

t.test('the times of waited-for children are fields 16 and 17', async (t) => {
  const fields = Array.from({ length: 52 }, (_, index) => String(index + 1))
  const stat = (name: string, rest = fields.slice(2)): string => `1 (${name}) ${rest.join(' ')}\n`
  t.ok(close(childSeconds(stat('node')), 0.33))
  t.ok(close(childSeconds(stat('a) 1 (b 2 3')), 0.33), 'a name with parentheses and spaces')
  t.equal(childSeconds('1 (node) R 1'), undefined)
  t.equal(childSeconds(''), undefined)
})

t.test('what the total has grown belongs to the child whose exit is reported', async (t) => {
  let total: number | undefined = 5
  let readings = 0
  const cpu = new ChildCpu(() => (readings++, total))
  cpu.otherEnded()
  t.equal(readings, 0, 'no measured child runs')
  const one = cpu.measure()
  const two = cpu.measure()
  t.equal(readings, 1)
  total = 7
  cpu.otherEnded()
  total = 8
  t.equal(two(), 1, 'without what another child took')
  total = 10
  t.equal(one(), 2)
  t.equal(readings, 4)
  total = 20
  cpu.otherEnded()
  t.equal(readings, 4)
  const later = cpu.measure()
  total = 21
  t.equal(later(), 1, 'without what was taken while none was measured')

  const [first, second] = [cpu.measure(), cpu.measure()]
  total = 24
  t.same([first(), second()], [3, 0], 'two that end at once: the sum is right')

  const known = cpu.measure()
  total = undefined
  t.equal(known(), undefined, 'unknown at its end')
  const unknown = cpu.measure()
  total = 30
  t.equal(unknown(), undefined, 'unknown at its start')
})

/** Takes CPU time, in a process below the one that is started, and prints the seconds of both. */
const burner = (seconds: number): string => `
  const { spawnSync } = require('node:child_process')
  const burn = \`while (process.cpuUsage().user < ${seconds * 1e6}); const { user, system } = process.cpuUsage(); console.log((user + system) / 1e6)\`
  const below = Number(spawnSync(process.execPath, ['-e', burn]).stdout)
  const { user, system } = process.cpuUsage()
  console.log(below + (user + system) / 1e6)`

interface Burnt {
  readonly measured: number | undefined
  readonly said: number
}

function burn(seconds: number): Promise<Burnt> {
  const child = spawn(process.execPath, ['-e', burner(seconds)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const take = childCpu.measure()
  return new Promise((resolve) => {
    let measured: number | undefined
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.once('exit', () => (measured = take()))
    child.once('close', () => resolve({ measured, said: Number(said) }))
  })
}

t.test(
  'the CPU time of two children at a time is measured, with that of their children',
  { skip: process.platform !== 'linux' && 'only Linux tells it' },
  async (t) => {
    const burnt = await Promise.all([burn(0.1), burn(0.5)])
    const sum = (values: (number | undefined)[]): number =>
      values.reduce<number>((all, each) => all + each!, 0)
    const [measured, said] = [sum(burnt.map((each) => each.measured)), sum(burnt.map((each) => each.said))]
    // A process cannot report the time that its own end takes.
    t.ok(measured > said - 0.05 && measured < said + 0.3, `${measured} s in all, of ${said} s`)
    // They end far apart, unless the machine is too slow; then the first has both times.
    for (const { measured, said } of burnt)
      t.ok(measured! > said - 0.05 || measured === 0, `${measured}, ${said}`)
  },
)
