/** Something that waits for its turn: who asks, and for whom. */
export interface PasswordClient {
  readonly address: string
  readonly user: string
}

/** Those of an address, by their users' names; whose turn is next stands first. */
interface AddressQueue<A> {
  readonly users: Map<string, A[]>
  size: number
}

/**
 * A queue in which addresses take turns, and at an address the users' names: so a flood of guesses holds up itself most,
 * then the other users at its address, and those elsewhere least.
 *
 * Places are shared out alike: an address may take one if more are left than it has, and a user at an address if more are
 * left to the address than the user has. So a flood for one user leaves a third of the places to others at its address.
 */
export class PasswordQueue<A extends PasswordClient> {
  readonly #max: number
  readonly #addresses = new Map<string, AddressQueue<A>>()
  #size = 0

  /** @param max most that wait */
  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#size
  }

  hasPlace({ address, user }: PasswordClient): boolean {
    const queue = this.#addresses.get(address)
    const left = this.#max - this.#size
    const leftHere = left - (queue?.size ?? 0)
    return leftHere > (queue?.users.get(user)?.length ?? 0)
  }

  join(asker: A): void {
    let queue = this.#addresses.get(asker.address)
    if (!queue) this.#addresses.set(asker.address, (queue = { users: new Map(), size: 0 }))
    const waiting = queue.users.get(asker.user)
    if (waiting) waiting.push(asker)
    else queue.users.set(asker.user, [asker])
    queue.size++
    this.#size++
  }

  /** Takes out whose turn it is. */
  next(): A | undefined {
    for (const [address, queue] of this.#addresses) {
      for (const [user, waiting] of queue.users) {
        const asker = waiting.shift()
        queue.size--
        this.#size--
        toTheEnd(queue.users, user, waiting.length > 0 ? waiting : undefined)
        toTheEnd(this.#addresses, address, queue.size > 0 ? queue : undefined)
        return asker
      }
    }
    return undefined
  }
}

function toTheEnd<V>(ring: Map<string, V>, key: string, value: V | undefined): void {
  ring.delete(key)
  if (value !== undefined) ring.set(key, value)
}
