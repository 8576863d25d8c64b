import { ChildProcess, spawn, type SpawnOptions } from 'node:child_process'

/**
 * Starts a program as the leader of a process group. Never throws: spawn() reports some failures by an event, others
 * (ENOMEM, E2BIG) by an exception, and without file descriptors returns a process without streams. Here they all become
 * an event.
 */
export function startInGroup(path: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  try {
    return spawn(path, args, { ...options, detached: true })
  } catch (error) {
    const child = new ChildProcess()
    setImmediate(() => child.emit('error', error))
    return child
  }
}

/** Sends a signal to a process group; does nothing if the group is gone. `exited`: has its leader been reaped? */
export function signalGroup(pid: number, signal: NodeJS.Signals, exited: boolean): void {
  // A pid is not reused while its process group exists: a live process with this pid is not ours, nor is its group.
  if (exited && isAlive(pid)) return
  try {
    process.kill(-pid, signal)
  } catch {
    // ESRCH: it has ended by itself.
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
