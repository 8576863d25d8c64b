import { realpathSync } from 'node:fs'
import { pathText, systemPath } from './byte-path.js'

/** Returns where a path leads: absolute and free of links, as `pathText` writes it. @throws the system's error */
export const realPath = (path: string | Buffer): string =>
  pathText(realpathSync.native(typeof path === 'string' ? systemPath(path) : path, 'buffer'))
