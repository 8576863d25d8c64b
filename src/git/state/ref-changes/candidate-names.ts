import { canonicalPrefixes } from '../../protocol/listing-answer.js'
import { FullNeeded } from './full-reason.js'

/** Longest name in bytes that is asked for as it is. The beginning of a longer one stands for it: it is a prefix of it. */
const lengthMax = 1024

/** Git on macOS may give names other bytes than the disk has (git-config(1), core.precomposeUnicode). */
const namesDiffer = process.platform === 'darwin'

/** No ref is named like this (git-check-ref-format(1)), though files may be. */
const isImpossible = (name: string): boolean =>
  !(name.startsWith('refs/') || name === 'HEAD') || /[\0-\x20\x7f]/.test(name)

/** Names of refs that may have changed, or their beginnings: bytes, written as Latin-1. */
export class CandidateNames {
  readonly #names = new Set<string>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  /** @throws FullNeeded if there are too many */
  add(name: string): void {
    if (isImpossible(name)) return
    if (namesDiffer && /[\x80-\xff]/.test(name)) throw new FullNeeded('links')
    this.#names.add(name.slice(0, lengthMax))
    if (this.#names.size > this.#max) throw new FullNeeded('candidates')
  }

  has(name: string): boolean {
    return this.#names.has(name.slice(0, lengthMax))
  }

  /** Returns them sorted, without those that begin with another one. */
  canonical(): string[] {
    return canonicalPrefixes([...this.#names])
  }
}
