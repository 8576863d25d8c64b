import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** How much the processes of this machine wait for its resources; figures that the kernel does not report are left out. */
export interface Pressure {
  /** Part of the last ten seconds, in percent, in which some process waited for a CPU, for memory, for a disk. */
  readonly cpu?: number
  readonly memory?: number
  readonly io?: number
  /** Memory in use that cannot simply be freed, as a part of this cgroup's limit: 0 to 1. */
  readonly memoryUsed?: number
}

/** Returns `avg10` of the line `some` in a PSI file (Linux, Documentation/accounting/psi.rst). */
export function parsePressure(text = ''): number | undefined {
  const value = /^some avg10=(\d+\.\d+) /m.exec(text)?.[1]
  return value === undefined ? undefined : Number(value)
}

/**
 * Returns `memoryUsed` from the contents of memory.max, memory.current and memory.stat (Linux,
 * Documentation/admin-guide/cgroup-v2.rst). Cached files stay in memory until it is needed otherwise, and are part of
 * memory.current: on a server of packs that is always near the limit. So cached files are subtracted.
 */
export function parseMemoryUsed(max?: string, current?: string, stat = ''): number | undefined {
  const files = [...stat.matchAll(/^(?:in)?active_file (\d+)$/gm)].reduce(
    (sum, [, bytes]) => sum + Number(bytes),
    0,
  )
  const used = (Number(current) - files) / Number(max)
  // Without a limit memory.max is the word `max`; that, and a missing file, give NaN.
  return Number.isFinite(used) ? Math.max(0, used) : undefined
}

/** Returns the path of a process's cgroup, relative to the root that it sees, from its /proc/PID/cgroup (cgroups(7)). */
export function parseCgroup(text = ''): string | undefined {
  return /^0::(\/.*)$/m.exec(text)?.[1]
}

const resources = ['cpu', 'memory', 'io'] as const

/**
 * Reads the kernel's figures: those of this process's own cgroup, which contains the Git processes too and has its own
 * limits; where there are none, those of the whole machine. Only Linux has them, and not every kernel. Never rejects:
 * figures that cannot be read are left out.
 * @param root the directory that contains proc/ and sys/
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
 * Finds the directory of this process's cgroup. Version 2 may be mounted alone, or beside version 1. In a container the
 * path may be the one on the host, which does not exist inside; then the mount itself is the container's cgroup.
 */
async function findCgroup(root: string): Promise<string | undefined> {
  const path = parseCgroup(await read(join(root, 'proc/self'), 'cgroup'))
  if (path === undefined) return undefined
  const mounts = ['sys/fs/cgroup', 'sys/fs/cgroup/unified'].map((mount) => join(root, mount))
  for (const directory of [...mounts.map((mount) => join(mount, path)), ...mounts]) {
    // Every cgroup of version 2 has this file, though it may be empty.
    if ((await read(directory, 'cgroup.controllers')) !== undefined) return directory
  }
  return undefined
}

async function read(directory: string | undefined, name: string): Promise<string | undefined> {
  if (directory === undefined) return undefined
  // The file may be missing, or exist and be switched off (EOPNOTSUPP).
  return readFile(join(directory, name), 'utf8').catch(() => undefined)
}
