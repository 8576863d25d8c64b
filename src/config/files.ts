import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats } from 'node:fs'

/** Most bytes of a file with settings, names, secrets or certificates. */
const settingMax = 16 * 1024 * 1024
/** Longest wait in milliseconds for a pipe to be opened for writing, and then for its next bytes. */
const pipeWaits = { writerMs: 1000, bytesMs: 10_000 }

/** Content of pipes by path and inode: it can be read once, and is needed when settings are checked, used, and reloaded. */
const piped = new Map<string, Buffer>()

/**
 * Reads a file that a setting names. A pipe, such as a shell's `<(...)`, is read to its end as long as bytes come, and its
 * content is remembered; the time for that is limited.
 * @throws the system's error, or an Error that describes what is wrong with the file
 */
export function readSettingFile(path: string): Buffer {
  return withFile(path, 0, (handle, stats) => {
    if (!stats.isFIFO()) return readToEnd(handle, stats)
    const name = `${path} ${stats.dev}:${stats.ino}`
    const bytes = piped.get(name) ?? readToEnd(handle, stats)
    piped.set(name, bytes)
    return bytes
  })
}

function readToEnd(handle: number, stats: Stats): Buffer {
  const chunks: Buffer[] = []
  let length = 0
  let [waitMs, since] = [pipeWaits.writerMs, performance.now()]
  for (;;) {
    const chunk = readSome(handle, settingMax + 1 - length)
    if (chunk?.length === 0 && !(stats.isFIFO() && length === 0)) return Buffer.concat(chunks)
    if (chunk && chunk.length > 0) {
      chunks.push(chunk)
      length += chunk.length
      since = performance.now()
      if (length > settingMax) throw new Error(`it is longer than ${settingMax} bytes`)
      continue
    }
    // No bytes yet: no process has opened the pipe for writing, or one has and is slow.
    if (!chunk) waitMs = pipeWaits.bytesMs
    if (performance.now() - since > waitMs) throw new Error('it is a pipe to which nothing is written')
    pause()
  }
}

/**
 * Reads a regular file that was found in a directory.
 * @returns undefined if it is another kind of file (a pipe, a socket, a directory, a link), or longer than `maxBytes`
 * @throws the system's error
 */
export function readFileUpTo(path: string, maxBytes: number): Buffer | undefined {
  const suits = (stats: Stats): boolean => stats.isFile() && stats.size <= maxBytes
  // Other kinds of files are not opened: opening some devices has effects.
  if (!suits(lstatSync(path))) return undefined
  return withFile(path, constants.O_NOFOLLOW, (handle, stats) => {
    if (!suits(stats)) return undefined
    const bytes = Buffer.alloc(stats.size)
    let length = 0
    for (let read = 1; read > 0 && length < bytes.length; length += read) {
      read = readSync(handle, bytes, length, bytes.length - length, length)
    }
    return bytes.subarray(0, length)
  })
}

/** Opens a file for reading, passes it to `use`, and closes it. Without O_NONBLOCK, opening a pipe waits for a writer. */
export function withFile<T>(
  path: string | Buffer,
  flags: number,
  use: (handle: number, stats: Stats) => T,
): T {
  const handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | flags)
  try {
    return use(handle, fstatSync(handle))
  } finally {
    closeSync(handle)
  }
}

/** Returns the bytes that can be read now; empty: the end; undefined: none yet. */
function readSome(handle: number, most: number): Buffer | undefined {
  const bytes = Buffer.alloc(Math.min(most, 64 * 1024))
  try {
    return bytes.subarray(0, readSync(handle, bytes, 0, bytes.length, null))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined
    throw error
  }
}

const never = new Int32Array(new SharedArrayBuffer(4))

/** Blocks the thread, which does nothing else while settings are read. */
function pause(): void {
  Atomics.wait(never, 0, 0, 10)
}
