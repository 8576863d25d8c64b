import { readFileSync } from 'node:fs'

/** Returns the id of the mount that an open file lies on, as mountinfo has it (proc_pid_fdinfo(5)); undefined: unknown. */
export function mountOf(descriptor: number): string | undefined {
  try {
    return /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1'))?.[1]
  } catch {
    return undefined
  }
}
