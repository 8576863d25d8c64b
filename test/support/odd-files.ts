import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, openSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'

/** Is there a program that makes named pipes? */
export const hasMkfifo = spawnSync('mkfifo', ['--version']).error === undefined

export const makeFifo = (path: string): void => void execFileSync('mkfifo', [path])

/** Makes, by kind, something at a path that is not a readable file. */
export const oddFiles: Record<string, (path: string) => void | Promise<void>> = {
  ...(hasMkfifo ? { 'a pipe': makeFifo } : {}),
  'a directory': (path) => void mkdirSync(`${path}/a/b`, { recursive: true }),
  'a link to itself': (path) => symlinkSync(path, path),
  'a link to nothing': (path) => symlinkSync('nothing', path),
  'a link to a device that never ends': (path) => symlinkSync('/dev/zero', path),
  'a file of a terabyte': (path) => {
    const handle = openSync(path, 'w')
    ftruncateSync(handle, 2 ** 40)
    closeSync(handle)
  },
  'a socket': async (path) => {
    const server = createServer().listen(path)
    await once(server, 'listening')
    server.unref()
  },
}
