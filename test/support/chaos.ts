import type { Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { GitWrapper } from './git-wrapper.js'
import { connect } from './http-client.js'
import type { Random } from './random.js'
import { tempDir } from './temp-dir.js'

/** A directory for a cache, on a small filesystem of its own where that may be mounted. */
export interface Disk {
  readonly cacheDir: string
  /** Does something bad to it, or stops doing so. */
  harm(random: Random): void
  mend(): void
}

export function makeDisk(t: Test): Disk {
  const room = tempDir(t)
  const own = mounts(t, room)
  const cacheDir = join(room, 'cache')
  const filler = join(room, 'filler')
  const mend = (): void => {
    if (own) execFileSync('mount', ['-o', 'remount,rw', room])
    rmSync(filler, { force: true })
  }
  const fill = (): void => {
    try {
      writeFileSync(filler, Buffer.alloc(16 << 20))
    } catch {
      // ENOSPC is what is wanted.
    }
  }
  const harms = [
    () => rmSync(cacheDir, { recursive: true, force: true, maxRetries: 10 }),
    ...(own ? [fill, () => execFileSync('mount', ['-o', 'remount,ro', room], { stdio: 'ignore' })] : []),
  ]
  const harm = (random: Random): void => {
    mend()
    try {
      if (random.below(2) === 0) random.pick(harms)()
    } catch {
      // Somebody writes just now: then not.
    }
  }
  return { cacheDir, harm, mend }
}

function mounts(t: Test, room: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', room], { stdio: 'ignore' })
  } catch {
    return false
  }
  t.teardown(() => execFileSync('umount', ['--lazy', room]))
  return true
}

/** Lets Git be well, slow, or ill in some way from now on. It never hangs for longer than three seconds. */
export function harmGit(wrapper: GitWrapper, random: Random): void {
  const bytes = random.below(40_000)
  const begin = `git "$@" | head -c ${bytes}; `
  const ills = [
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
    // Ill once, then well.
    `if mkdir "$dir/once-${random.below(1 << 20)}"; then ${begin}exit 128; fi\n`,
  ]
  wrapper.plan(random.below(2) === 0 ? random.pick(ills) : undefined)
  const backendIlls = [
    undefined,
    undefined,
    'sleep 0.5\n',
    'exit 128\n',
    'echo nonsense; exit 0\n',
    'sleep 3; exit 1\n',
  ]
  wrapper.plan(random.pick(backendIlls), 'http-backend')
}

/** A client that behaves badly, and leaves after a while. */
export function badClient(url: string, repository: string, random: Random): void {
  const get = `GET /${repository}/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n`
  const post =
    `POST /${repository}/git-upload-pack HTTP/1.1\r\nHost: x\r\nGit-Protocol: version=2\r\n` +
    'Content-Type: application/x-git-upload-pack-request\r\nContent-Length: 24\r\n\r\n'
  const says = [
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
  socket.write(random.pick(says))
  if (random.below(2) === 0) socket.resume()
  const leave = random.below(2) === 0 ? () => socket.destroy() : () => socket.resetAndDestroy()
  setTimeout(leave, random.pick([0, 20, 200, 2000]))
}

/** Runs of the wrapper that have not ended. */
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
