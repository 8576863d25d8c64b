// What a server and all that it starts cost: a cgroup of its own where one may make one (cgroup v2), else the sum over its
// tree of processes (proc_pid_stat(5)), which counts a child that has ended only if its parent has waited for it.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']))
const read = (path) => readFileSync(path, 'utf8')

let made = 0
/** A cgroup below the root of the cgroup v2 hierarchy that lets processes in; undefined where that is not allowed. */
function makeCgroup() {
  const mount = /^\S+ (\S+) cgroup2 /m.exec(read('/proc/mounts'))?.[1]
  if (!mount) return undefined
  const path = join(mount, `refstream-bench-${process.pid}-${made++}`)
  try {
    mkdirSync(path)
    execFileSync('sh', ['-c', 'echo $$ > "$0/cgroup.procs"', path], { stdio: 'ignore' })
    return path
  } catch {
    return undefined
  }
}

/** Fields of a process from its state on, proc_pid_stat(5). */
function statFields(pid) {
  const stat = read(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** Parent, and ticks of CPU with those of children that were waited for, of each process that is there. */
function processTable() {
  const table = new Map()
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const fields = statFields(pid)
      const ticks = fields.slice(11, 15).reduce((sum, value) => sum + Number(value), 0)
      table.set(Number(pid), { parent: Number(fields[1]), ticks })
    } catch {
      // It has ended meanwhile.
    }
  }
  return table
}

/** The account of one contender. Its processes are started by `spawn`, and all are ended by `close`. */
export class Account {
  #cgroup = makeCgroup()
  #leaders = []
  #log
  #inside
  // A benchmark that fails leaves no process behind.
  #abandon = () => {
    for (let turn = 0; turn < 100; turn++) {
      this.pids().forEach(end)
      if (!this.#cgroup || this.#removed()) return
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    }
  }

  /** What its processes say goes to this file. @param inside words before each command, which run it in another place */
  constructor(log, inside = []) {
    this.#log = openSync(log, 'a')
    this.#inside = inside
    process.once('exit', this.#abandon)
  }

  get method() {
    if (this.#cgroup) return 'cgroup v2, cpu.stat'
    // fcgiwrap's workers ignore SIGCHLD, so the CPU time of their children is counted nowhere.
    return '/proc/PID/stat over the tree of processes, which misses Git under fcgiwrap, so nginx and Varnish cost more than is said'
  }

  spawn(command, args) {
    const enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
    const words = [...this.#inside, command, ...args]
    const whole = this.#cgroup ? ['sh', '-c', enter, this.#cgroup, ...words] : words
    const child = spawn(whole[0], whole.slice(1), { stdio: ['ignore', this.#log, this.#log] })
    this.#leaders.push(child)
    return child
  }

  /** Process id of the process that was started last. */
  leader() {
    return this.#leaders.at(-1).pid
  }

  /** CPU of the process that was started last alone: of refstream without Git's, and without that of worker processes. */
  leaderSeconds() {
    const fields = statFields(this.leader())
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
  }

  pids() {
    if (this.#cgroup) return read(join(this.#cgroup, 'cgroup.procs')).split('\n').filter(Boolean).map(Number)
    return this.#tree(processTable())
  }

  #tree(table) {
    const found = new Set(this.#leaders.filter(({ exitCode }) => exitCode === null).map(({ pid }) => pid))
    for (let size = -1; size !== found.size;) {
      size = found.size
      for (const [pid, { parent }] of table) if (found.has(parent)) found.add(pid)
    }
    return [...found]
  }

  cpuSeconds() {
    if (this.#cgroup) return Number(/usage_usec (\d+)/.exec(read(join(this.#cgroup, 'cpu.stat')))[1]) / 1e6
    const table = processTable()
    return this.#tree(table).reduce((sum, pid) => sum + (table.get(pid)?.ticks ?? 0), 0) / ticksPerSecond
  }

  /** Memory in bytes; what processes share is counted once (proc_pid_smaps(5), Pss). Without the kernel's socket buffers. */
  memoryBytes() {
    const pss = (pid) => {
      try {
        return Number(/^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))[1]) * 1024
      } catch {
        return 0
      }
    }
    return this.pids().reduce((sum, pid) => sum + pss(pid), 0)
  }

  /** The same, as each process sees it: what several share is counted several times (proc_pid_status(5), VmRSS). */
  residentBytes() {
    const resident = (pid) => {
      try {
        return Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))[1]) * 1024
      } catch {
        return 0
      }
    }
    return this.pids().reduce((sum, pid) => sum + resident(pid), 0)
  }

  /**
   * Bytes that its processes, and children that were waited for, have given to the page cache for a disk, whether or not
   * they were deleted before the disk got them (proc_pid_io(5), write_bytes; a filesystem in memory does not count).
   */
  writtenBytes() {
    const written = (pid) => {
      try {
        return Number(/^write_bytes: (\d+)/m.exec(read(`/proc/${pid}/io`))[1])
      } catch {
        return 0
      }
    }
    return this.pids().reduce((sum, pid) => sum + written(pid), 0)
  }

  /** Ends the leaders, in the reverse order of their start, and then whatever they left behind. */
  async close() {
    const others = this.pids()
    for (const leader of this.#leaders.toReversed()) {
      if (leader.exitCode !== null || leader.signalCode !== null) continue
      const ended = once(leader, 'exit')
      leader.kill('SIGTERM')
      await Promise.race([ended, sleep(10_000, undefined, { ref: false })])
      if (leader.exitCode === null && leader.signalCode === null) {
        leader.kill('SIGKILL')
        await ended
      }
    }
    this.#leaders = []
    process.off('exit', this.#abandon)
    closeSync(this.#log)
    if (!this.#cgroup) return this.#endTree(others)
    while (!this.#removed()) {
      this.pids().forEach(end)
      await sleep(10)
    }
  }

  /** A cgroup can be removed when it has no process. */
  #removed() {
    try {
      rmdirSync(this.#cgroup)
      return true
    } catch {
      return false
    }
  }

  /** A process id may have been reused: only a Git process of this benchmark is ended. */
  #endTree(pids) {
    for (const pid of pids) {
      try {
        if (/git|fcgiwrap/.test(read(`/proc/${pid}/comm`))) end(pid)
      } catch {
        // It has ended.
      }
    }
  }
}

function end(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
