/** The values of all labels of a series, by name. */
export type Labels<L extends string> = Readonly<Record<L, string>>

/** One series of a metric: its labels, and what is known of it. */
export interface Series<L extends string, V> {
  readonly labels: Labels<L>
  readonly value: V
}

type Branch<V> = Map<string, Branch<V> | V>

/**
 * The series of one metric, by the values of their labels: a tree of maps, one level for each label. A library of metrics
 * makes a text of all labels to find a series, which costs more than the rest of a cache hit's bookkeeping; here it costs
 * a lookup of a short, known string for each label.
 */
export class SeriesOf<L extends string, V extends object> {
  readonly #names: readonly L[]
  readonly #make: () => V
  /** Without labels, the only series. */
  readonly #root: Branch<V> | V
  readonly #all: Series<L, V>[] = []

  /** @param names of the labels; none: there is one series, from the start @param make makes what is known of a new series */
  constructor(names: readonly L[], make: () => V) {
    this.#names = names
    this.#make = make
    this.#root = names.length === 0 ? make() : new Map()
    if (names.length === 0) this.#all.push({ labels: {} as Labels<L>, value: this.#root as V })
  }

  /** Returns what is known of a series, which is made when it is first asked for. */
  of(labels: Labels<L>): V {
    let found: Branch<V> | V | undefined = this.#root
    for (const name of this.#names) {
      found = (found as Branch<V>).get(labels[name])
      if (found === undefined) return this.#add(labels)
    }
    return found as V
  }

  /** In the order in which they were first asked for. */
  get all(): readonly Series<L, V>[] {
    return this.#all
  }

  #add(labels: Labels<L>): V {
    const names = this.#names
    const value = this.#make()
    let branch = this.#root as Branch<V>
    for (const name of names.slice(0, -1)) {
      const next = (branch.get(labels[name]) ?? new Map()) as Branch<V>
      branch.set(labels[name], next)
      branch = next
    }
    branch.set(labels[names.at(-1)!], value)
    const own = Object.fromEntries(names.map((name) => [name, labels[name]])) as Labels<L>
    this.#all.push({ labels: own, value })
    return value
  }
}
