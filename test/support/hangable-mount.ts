import type { Test } from 'tap'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { findProgram } from '../../src/git/process/installation.js'
import { eventually } from './eventually.js'

/** Why a mount is not possible here; false: it is. */
export const noMount: string | false =
  process.getuid?.() !== 0
    ? 'only root can mount'
    : !existsSync('/dev/fuse')
      ? 'there is no /dev/fuse'
      : !findProgram('bindfs', process.env['PATH']) && 'there is no bindfs'

export interface HangableMount {
  /** Makes every system call on it wait from now on, as on a network filesystem whose server is gone. */
  stop(): void
  resume(): void
}

/** Mounts a directory at another place with a filesystem that can be made to hang. Unmounted with the test. */
export async function mountHangable(t: Test, directory: string, point: string): Promise<HangableMount> {
  // Without caches, so that every system call reaches it.
  const timeouts = ['attr', 'entry', 'negative'].map((each) => `${each}_timeout=0`).join()
  const daemon = spawn('bindfs', ['-f', '-o', timeouts, directory, point], { stdio: 'ignore' })
  const kill = (signal: NodeJS.Signals): void => void daemon.kill(signal)
  t.teardown(() => {
    // Waiting system calls get an error.
    kill('SIGKILL')
    execFileSync('umount', ['-l', point])
  })
  await eventually('it is mounted', () => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${point} `))
  return { stop: () => kill('SIGSTOP'), resume: () => kill('SIGCONT') }
}
