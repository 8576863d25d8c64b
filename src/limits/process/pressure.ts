import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** How much the work of this machine is held up for want of something; what the kernel does not tell is left out. */
export interface Pressure {
  /** Share of the last ten seconds, in percent, in which some process waited for a CPU, for memory, for a disk. */
  readonly cpu?: number
  readonly memory?: number
  readonly io?: number
  /** Memory in use that cannot simply be dropped, as a part of what this cgroup may have: 0 to 1. */
  readonly memoryUsed?: number
}

/** The first line's `avg10` in a file of psi's (Linux, Documentation/accounting/psi.rst). */
export function parsePressure(text = ''): number | undefined {
  const value = /^some avg10=(\d+\.\d+) /m.exec(text)?.[1]
  return value === undefined ? undefined : Number(value)
}

/**
 * From memory.max, memory.current and memory.stat (Linux, Documentation/admin-guide/cgroup-v2.rst). Files that were read
 * stay in memory until somebody needs the room, and count as current: a server of packs always sits at its limit. They
 * are taken off.
 */
export function parseMemoryUsed(max?: string, current?: string, stat = ''): number | undefined {
  const files = [...stat.matchAll(/^(?:in)?active_file (\d+)$/gm)].reduce(
    (sum, [, bytes]) => sum + Number(bytes),
    0,
  )
  const used = (Number(current) - files) / Number(max)
  // No limit is the word `max`, and no file is no number either.
  return Number.isFinite(used) ? Math.max(0, used) : undefined
}

/** The path of a process's cgroup, below the root that it sees, from its /proc/PID/cgroup (cgroups(7)). */
export function parseCgroup(text = ''): string | undefined {
  return /^0::(\/.*)$/m.exec(text)?.[1]
}

const resources = ['cpu', 'memory', 'io'] as const

/**
 * The kernel's figures: those of this process's own cgroup, which holds the Git processes too and knows its own limits;
 * where there are none, those of the whole machine. Linux only, and not every kernel has them: nothing here fails, it
 * only knows less.
 * @param root where /proc and /sys are
 */
export async function readPressure(root = '/'): Promise<Pressure> {
  const own = await findCgroup(root)
  const found: Partial<Record<keyof Pressure, number>> = {}
  for (const resource of resources) {
    const value =
      parsePressure(await read(own, `${resource}.pressure`)) ??
      parsePressure(await read(join(root, 'proc/pressure'), resource))
    if (value !== undefined) found[resource] = value
  }
  const memoryUsed = parseMemoryUsed(
    await read(own, 'memory.max'),
    await read(own, 'memory.current'),
    await read(own, 'memory.stat'),
  )
  return memoryUsed === undefined ? found : { ...found, memoryUsed }
}

/**
 * Where cgroups are mounted depends on who set up the machine: alone, or beside the older kind. In a container the path
 * may be the host's, which is not there; then what is mounted is the container's own.
 */
async function findCgroup(root: string): Promise<string | undefined> {
  const path = parseCgroup(await read(join(root, 'proc/self'), 'cgroup'))
  if (path === undefined) return undefined
  const mounts = ['sys/fs/cgroup', 'sys/fs/cgroup/unified'].map((mount) => join(root, mount))
  for (const directory of [...mounts.map((mount) => join(mount, path)), ...mounts]) {
    // Every cgroup of version 2 has this file, if only an empty one.
    if ((await read(directory, 'cgroup.controllers')) !== undefined) return directory
  }
  return undefined
}

async function read(directory: string | undefined, name: string): Promise<string | undefined> {
  if (directory === undefined) return undefined
  // Not there, or there and switched off (EOPNOTSUPP): it is not known.
  return readFile(join(directory, name), 'utf8').catch(() => undefined)
}
