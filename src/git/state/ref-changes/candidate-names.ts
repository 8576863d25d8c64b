import { canonicalPrefixes } from '../../protocol/listing-answer.js'
import { FullNeeded } from './full-reason.js'

/** Longest name in bytes that is asked for as it is. The beginning of a longer one stands for it: it is a prefix of it. */
const lengthMax = 1024

/** Git on macOS may give names other bytes than the disk has (git-config(1), core.precomposeUnicode). */
const namesDiffer = process.platform === 'darwin'

/** Bytes that no request can have in a prefix. Git lists files with such names too, as broken refs. */
const unaskable = /[\0-\x20\x7f]/

/** Names of refs that may have changed, or their beginnings: bytes, written as Latin-1. */
export class CandidateNames {
  readonly #names = new Set<string>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  /**
   * Adds a name, or the beginning of one that cannot be asked for.
   * @throws FullNeeded if there are too many, or all names of a directory would have to be asked for
   */
  add(name: string): void {
    const prefix = prefixOf(name)
    if (prefix.length < name.length && prefix.endsWith('/')) throw new FullNeeded('candidates')
    // Git lists what packed-refs has outside of refs/.
    if (!prefix.startsWith('refs/') && prefix !== 'HEAD') throw new FullNeeded('candidates')
    if (namesDiffer && /[\x80-\xff]/.test(name)) throw new FullNeeded('links')
    this.#names.add(prefix)
    if (this.#names.size > this.#max) throw new FullNeeded('candidates')
  }

  has(name: string): boolean {
    return this.#names.has(prefixOf(name))
  }

  /** Returns them sorted, without those that begin with another one. */
  canonical(): string[] {
    return canonicalPrefixes([...this.#names])
  }
}

/** Returns a name up to what makes it too long or impossible to ask for. */
function prefixOf(name: string): string {
  const end = name.search(unaskable)
  return name.slice(0, Math.min(lengthMax, end < 0 ? name.length : end))
}
