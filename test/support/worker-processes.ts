import { readFileSync } from 'node:fs'

/** Returns the ids of the worker processes of a sidecar, in the order in which they were started. */
export function workersOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  return children.map(Number).filter((child) => commandLine(child).includes('/worker.js'))
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // It has ended.
  }
}

/** Does the process run? A zombie does not. */
export const runs = (pid: number): boolean => !['', 'Z'].includes(stateOf(pid))

/** Has SIGSTOP taken effect? */
export const isStopped = (pid: number): boolean => stateOf(pid) === 'T'

/** Returns the state of a process as proc_pid_status(5) writes it; empty: it has ended. */
function stateOf(pid: number): string {
  try {
    return /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''
  } catch {
    return ''
  }
}
