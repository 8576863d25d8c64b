import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import { pathText, systemPath } from './byte-path.js'
import type { Mount } from './mountinfo.js'

/** A path leads to a mount that may hang, so that it must not be touched here; nothing of the mount was. */
export class RemotePath extends Error {
  override readonly name = 'RemotePath'
  readonly mount: Pick<Mount, 'id' | 'point' | 'type'>

  constructor({ id, point, type }: Pick<Mount, 'id' | 'point' | 'type'>) {
    super(`${point} (${type}) may hang`)
    this.mount = { id, point, type }
  }
}

/** As many links as the kernel follows on a path (path_resolution(7)). */
const linksMax = 40

/**
 * Keeps whoever asks it first from touching mounts that may hang: follows a path as the kernel would, a component at a
 * time, and throws before the first that lies on one. Made anew with each reading of the mounts.
 */
export class PathGuard {
  readonly #mounts = new Map<string, Mount>()
  /** Directories that were found harmless, and where their links led to. */
  readonly #known = new Map<string, string>()
  /** Paths that were found harmless as a whole. */
  readonly #passed = new Set<string>()

  constructor(mounts: readonly Mount[]) {
    for (const mount of mounts) this.#mounts.set(mount.point, mount)
  }

  /** Is there a mount that may hang? */
  get isNeeded(): boolean {
    return this.#mounts.size > 0
  }

  /**
   * Checks all that is touched when a path is opened, links followed. Directories above it may have been checked a
   * moment ago, see `MountTable`; the path's end is, in any case, now. @throws RemotePath
   */
  check(path: string): void {
    const cut = path.lastIndexOf('/')
    const directory = path.slice(0, cut)
    const real = cut <= 0 ? '' : (this.#known.get(directory) ?? this.#learn(directory))
    // Of what does not exist, nothing is touched.
    if (real !== undefined) this.#follow(real, [path.slice(cut + 1)])
  }

  /** The same for the operator's own paths: one check serves all who ask within a moment. @throws RemotePath */
  checkOnce(path: string): void {
    if (this.#passed.has(path)) return
    this.check(path)
    this.#passed.add(path)
  }

  /** Checks a directory that is free of links for mounts on it and in it. @throws RemotePath */
  checkBelow(directory: string): void {
    for (const mount of this.#mounts.values()) {
      if (mount.point === directory || mount.point.startsWith(`${directory}/`)) throw new RemotePath(mount)
    }
  }

  #learn(directory: string): string | undefined {
    const real = this.#follow('', directory.split('/').reverse())
    if (real !== undefined) this.#known.set(directory, real)
    return real
  }

  /**
   * @param real where to begin; '' is the root
   * @param names components still to come, the last first
   * @returns where it leads to; undefined: nowhere
   */
  #follow(real: string, names: string[]): string | undefined {
    let links = 0
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      if (name === '' || name === '.') continue
      if (name === '..') {
        real = real.slice(0, Math.max(0, real.lastIndexOf('/')))
        continue
      }
      const path = `${real}/${name}`
      const mount = this.#mounts.get(path)
      if (mount) throw new RemotePath(mount)
      const stats = statOf(path)
      if (!stats) return undefined
      if (!stats.isSymbolicLink()) {
        real = path
        continue
      }
      const target = targetOf(path)
      if (target === undefined || ++links > linksMax) return undefined
      if (target.startsWith('/')) real = ''
      names.push(...target.split('/').reverse())
    }
    return real
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(systemPath(path), { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

function targetOf(link: string): string | undefined {
  try {
    return pathText(readlinkSync(systemPath(link), 'buffer'))
  } catch {
    return undefined
  }
}
