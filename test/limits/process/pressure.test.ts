import t from 'tap'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  parseCgroup,
  parseMemoryUsed,
  parsePressure,
  readPressure,
} from '../../../src/limits/process/pressure.js'
import { tempDir } from '../../support/temp-dir.js'

const cpu = `some avg10=38.38 avg60=9.98 avg300=4.79 total=2683990748
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
`
const memory = `some avg10=1.20 avg60=0.40 avg300=0.10 total=102460968
full avg10=0.50 avg60=0.20 avg300=0.05 total=62631716
`
const stat = `anon 104857600
file 734003200
kernel 12582912
shmem 104857600
inactive_anon 104857600
active_anon 104857600
inactive_file 419430400
active_file 209715200
unevictable 0
workingset_refault_file 41
`
/** The hybrid hierarchy of systemd: cgroups of both versions. */
const hybrid = `9:name=systemd:/
4:memory:/process_api/34dd18abe647
2:cpuacct:/
0::/system.slice/refstream.service
`

/** A machine's files, by path. */
function machine(t: Parameters<typeof tempDir>[0], files: Record<string, string>): string {
  const root = tempDir(t)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

t.test('the files are parsed', (t) => {
  t.equal(parsePressure(cpu), 38.38)
  t.equal(parsePressure(cpu.split('\n')[0]! + '\n'), 38.38, 'older kernels have one line for cpu')
  t.equal(parsePressure('some avg10=100.00 avg60=0.00 avg300=0.00 total=1\n'), 100)
  t.equal(parsePressure('full avg10=3.00 avg60=0.00 avg300=0.00 total=1\n'), undefined)
  t.equal(parsePressure(''), undefined)
  t.equal(parseCgroup(hybrid), '/system.slice/refstream.service')
  t.equal(parseCgroup('0::/\n'), '/')
  t.equal(parseCgroup('1:cpu:/\n'), undefined)
  t.end()
})

t.test('cached files do not count as memory in use', (t) => {
  const max = String(1024 ** 3)
  const current = String(1000 * 1024 ** 2)
  t.equal(parseMemoryUsed(max, current, stat), (1000 - 400 - 200) / 1024)
  t.equal(parseMemoryUsed('max\n', current, stat), undefined)
  t.equal(parseMemoryUsed(`${max}\n`, `${max}\n`, ''), 1)
  t.equal(parseMemoryUsed(undefined, undefined), undefined)
  t.equal(parseMemoryUsed(max, '4096\n', stat), 0, 'the files are not read at the same moment')
  t.end()
})

t.test('figures of the own cgroup come before those of the machine', async (t) => {
  const own = 'sys/fs/cgroup/system.slice/refstream.service'
  const root = machine(t, {
    'proc/self/cgroup': '0::/system.slice/refstream.service\n',
    'proc/pressure/cpu': 'some avg10=99.00 avg60=0.00 avg300=0.00 total=1\n',
    'proc/pressure/io': 'some avg10=7.00 avg60=0.00 avg300=0.00 total=1\n',
    'sys/fs/cgroup/cgroup.controllers': 'cpu memory io\n',
    [`${own}/cgroup.controllers`]: '',
    [`${own}/cpu.pressure`]: cpu,
    [`${own}/memory.pressure`]: memory,
    [`${own}/memory.max`]: '1048576000\n',
    [`${own}/memory.current`]: '1048576000\n',
    [`${own}/memory.stat`]: stat,
  })
  t.same(await readPressure(root), { cpu: 38.38, memory: 1.2, io: 7, memoryUsed: 0.4 })
})

t.test('a container that sees the path of the host', async (t) => {
  const root = machine(t, {
    'proc/self/cgroup': '0::/docker/0123456789ab\n',
    'sys/fs/cgroup/cgroup.controllers': 'memory\n',
    'sys/fs/cgroup/memory.pressure': memory,
    'sys/fs/cgroup/memory.max': 'max\n',
    'sys/fs/cgroup/memory.current': '5000\n',
  })
  t.same(await readPressure(root), { memory: 1.2 })
})

t.test('version 2 mounted beside version 1', async (t) => {
  const root = machine(t, {
    'proc/self/cgroup': hybrid,
    'sys/fs/cgroup/unified/system.slice/refstream.service/cgroup.controllers': '',
    'sys/fs/cgroup/unified/system.slice/refstream.service/cpu.pressure': cpu,
  })
  t.same(await readPressure(root), { cpu: 38.38 })
})

t.test('a kernel without figures, and the one that runs this test', async (t) => {
  t.same(await readPressure(tempDir(t)), {})
  for (const value of Object.values(await readPressure())) t.ok(value >= 0 && value <= 100)
})
