import { packetsOf } from './answers.js'

/** A listing, as far as the rule needs it. */
interface Listed {
  readonly names: ReadonlySet<string>
  readonly symrefs: ReadonlyMap<string, string>
}

/** Reads Git's answer to an ls-refs command, bytes as Latin-1. */
function read(answer: string): Listed {
  const names = new Set<string>()
  const symrefs = new Map<string, string>()
  for (const packet of packetsOf(answer)) {
    const [id, name = '', ...attributes] = packet.slice(4).trimEnd().split(' ')
    if (name === '' || id === 'unborn') continue
    names.add(name)
    const target = attributes.find((attribute) => attribute.startsWith('symref-target:'))
    if (target !== undefined) symrefs.set(name, target.slice('symref-target:'.length))
  }
  return { names, symrefs }
}

/**
 * The rule of docs/splices.md for lease mode, written a second time: what the next listing must be counted as. The test tells
 * what leases have done, and what Git lists.
 */
export class NamedChangesModel {
  readonly #open = new Set<string>()
  #base: Listed | undefined
  /** What has changed since the base, if all of it is named. */
  #names: string[] | undefined
  #hasChanged = true

  opened(id: string): void {
    this.#open.add(id)
  }

  /** @param names of refs; undefined: it did not tell, or it has expired */
  changed(names: readonly string[] | undefined, id?: string): void {
    if (id !== undefined) this.#open.delete(id)
    this.#hasChanged = true
    this.#names = names && this.#names && [...this.#names, ...names]
  }

  unchanged(id: string): void {
    this.#open.delete(id)
  }

  /** Takes note that a listing is asked for. @returns how it must be counted; undefined: it must not be made anew */
  asked(answer: string): string | undefined {
    const now = read(answer)
    const result = this.#resultOf(now)
    if (this.#open.size > 0) return result
    if (result !== undefined) [this.#base, this.#names, this.#hasChanged] = [now, [], false]
    return result
  }

  #resultOf(now: Listed): string | undefined {
    const base = this.#base
    if (!base) return 'unknown'
    if (this.#open.size > 0) return 'unnamed'
    if (!this.#hasChanged) return undefined
    if (!this.#names) return 'unnamed'
    for (const name of this.#names) {
      if (!base.names.has(name)) return 'new'
      if (name !== 'HEAD' && base.symrefs.has(name)) return 'symref'
    }
    return base.symrefs.get('HEAD') === now.symrefs.get('HEAD') ? 'spliced' : 'head'
  }
}
