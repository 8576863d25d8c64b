import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import { pathText, systemPath } from './byte-path.js'
import type { Mount } from './mountinfo.js'

/** A path leads to a mount that may hang, so that this process must not use it. The mount was not accessed. */
export class RemotePath extends Error {
  override readonly name = 'RemotePath'
  readonly mount: Pick<Mount, 'id' | 'point' | 'type'>

  constructor({ id, point, type }: Pick<Mount, 'id' | 'point' | 'type'>) {
    super(`${point} (${type}) may hang`)
    this.mount = { id, point, type }
  }
}

/** The number of links that the kernel follows on a path (path_resolution(7)). */
const linksMax = 40

/**
 * Checks paths for mounts that may hang, before the paths are used: follows a path as the kernel would, component by
 * component, and throws before the first one on such a mount. Created anew for each reading of the mount table.
 */
export class PathGuard {
  readonly #mounts = new Map<string, Mount>()
  /** Directories that were checked, and where their links lead. */
  readonly #checked = new Map<string, string>()
  /** Paths that `checkOnce` has checked. */
  readonly #passed = new Set<string>()

  constructor(mounts: readonly Mount[]) {
    for (const mount of mounts) this.#mounts.set(mount.point, mount)
  }

  /** Is there a mount that may hang? */
  get isNeeded(): boolean {
    return this.#mounts.size > 0
  }

  /**
   * Checks every component that is accessed when a path is opened, links followed. The check of directories above it may
   * be as old as this guard, see `MountTable`; its last component is checked now. @throws RemotePath
   */
  check(path: string): void {
    const cut = path.lastIndexOf('/')
    const directory = path.slice(0, cut)
    const real = cut <= 0 ? '' : (this.#checked.get(directory) ?? this.#checkDirectory(directory))
    // Below a directory that does not exist, nothing is accessed.
    if (real !== undefined) this.#follow(real, [path.slice(cut + 1)])
  }

  /** The same for the operator's own paths: checked once per guard. @throws RemotePath */
  checkOnce(path: string): void {
    if (this.#passed.has(path)) return
    this.check(path)
    this.#passed.add(path)
  }

  /** Checks for mounts at and below a directory whose path is free of links. @throws RemotePath */
  checkBelow(directory: string): void {
    for (const mount of this.#mounts.values()) {
      if (mount.point === directory || mount.point.startsWith(`${directory}/`)) throw new RemotePath(mount)
    }
  }

  #checkDirectory(directory: string): string | undefined {
    const real = this.#follow('', directory.split('/').reverse())
    if (real !== undefined) this.#checked.set(directory, real)
    return real
  }

  /**
   * @param real the directory to begin in; '' is the root directory
   * @param names the remaining components, in reverse order
   * @returns where the path leads; undefined: it does not exist
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
