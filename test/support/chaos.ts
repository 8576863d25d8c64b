import type { Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { GitWrapper } from './git-wrapper.js'
import { connect } from './http-client.js'
import type { Random } from './random.js'
import { tempDir } from './temp-dir.js'

/** A cache directory, on a small filesystem of its own where that can be mounted. */
export interface CacheDisk {
  readonly cacheDir: string
  /** Removes it, fills its filesystem or makes that read-only; or repairs it. */
  disturb(random: Random): void
  repair(): void
}

export function makeCacheDisk(t: Test): CacheDisk {
  const place = tempDir(t)
  const isMounted = mountTmpfs(t, place)
  const cacheDir = join(place, 'cache')
  const filler = join(place, 'filler')
  const mend = (): void => {
    if (isMounted) execFileSync('mount', ['-o', 'remount,rw', place])
    rmSync(filler, { force: true })
  }
  const fill = (): void => {
    try {
      writeFileSync(filler, Buffer.alloc(16 << 20))
    } catch {
      // ENOSPC is the purpose.
    }
  }
  const disturbances = [
    () => rmSync(cacheDir, { recursive: true, force: true, maxRetries: 10 }),
    ...(isMounted
      ? [fill, () => execFileSync('mount', ['-o', 'remount,ro', place], { stdio: 'ignore' })]
      : []),
  ]
  const harm = (random: Random): void => {
    mend()
    try {
      if (random.below(2) === 0) random.pick(disturbances)()
    } catch {
      // EBUSY: a file is being written.
    }
  }
  return { cacheDir, disturb: harm, repair: mend }
}

function mountTmpfs(t: Test, point: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', point], { stdio: 'ignore' })
  } catch {
    return false
  }
  t.teardown(() => execFileSync('umount', ['--lazy', point]))
  return true
}

/** Makes Git work, be slow, or fail in some way from now on. It never hangs for longer than three seconds. */
export function disturbGit(wrapper: GitWrapper, random: Random): void {
  const bytes = random.below(40_000)
  const begin = `git "$@" | head -c ${bytes}; `
  const faults = [
    undefined,
    undefined,
    'sleep 0.2\n',
    `${begin}echo 'fatal: oops' >&2; exit 128\n`,
    `${begin}sleep 3; exit 1\n`,
    `${begin}head -c 5000 /dev/urandom; exit 0\n`,
    `${begin}exit 0\n`,
    `${begin}kill -9 $$\n`,
    'exit 128\n',
    `trap '' TERM; ${begin}sleep 3; exit 1\n`,
    // Fails once.
    `if mkdir "$dir/once-${random.below(1 << 20)}"; then ${begin}exit 128; fi\n`,
  ]
  wrapper.plan(random.below(2) === 0 ? random.pick(faults) : undefined)
  const backendFaults = [
    undefined,
    undefined,
    'sleep 0.5\n',
    'exit 128\n',
    'echo nonsense; exit 0\n',
    'sleep 3; exit 1\n',
  ]
  wrapper.plan(random.pick(backendFaults), 'http-backend')
}

/** Connects a client that sends a broken or too large sequence of requests, and disconnects after up to two seconds. */
export function misbehavingClient(url: string, repository: string, random: Random): void {
  const get = `GET /${repository}/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n`
  const post =
    `POST /${repository}/git-upload-pack HTTP/1.1\r\nHost: x\r\nGit-Protocol: version=2\r\n` +
    'Content-Type: application/x-git-upload-pack-request\r\nContent-Length: 24\r\n\r\n'
  const requests = [
    get,
    get.repeat(5) + post,
    get.slice(0, 20),
    post,
    `${post}0014command=ls-`,
    `${post}0014command=ls-refs\n0000`.repeat(3),
    `GET /${repository}/HEAD HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(3),
    'nonsense\r\n\r\n',
  ]
  const socket = connect(url)
  socket.on('error', () => {})
  socket.write(random.pick(requests))
  if (random.below(2) === 0) socket.resume()
  const leave = random.below(2) === 0 ? () => socket.destroy() : () => socket.resetAndDestroy()
  setTimeout(leave, random.pick([0, 20, 200, 2000]))
}

/** Returns the pids of the wrapper's processes. */
export function processesOf(wrapper: GitWrapper): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[1] === wrapper.path
      )
    } catch {
      return false
    }
  })
}
