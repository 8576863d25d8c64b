/** The client of a queued check, and the user name that it gave. */
export interface PasswordClient {
  readonly address: string
  readonly user: string
}

/** Queued checks of an address by user name, in the order of their turns. */
interface AddressQueue<C> {
  readonly users: Map<string, C[]>
  size: number
}

/**
 * A queue with round robin among addresses, and at each address among user names. So a flood of guesses delays itself most,
 * then the other users at its address, and clients elsewhere least.
 *
 * Places are shared fairly too: an address gets another place if more are free than it has, and a user at an address if
 * more are free for the address than the user has. So a flood for one user leaves a third of the places to other users at
 * its address.
 */
export class PasswordQueue<C extends PasswordClient> {
  readonly #max: number
  readonly #addresses = new Map<string, AddressQueue<C>>()
  #size = 0

  /** @param max most checks in the queue */
  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#size
  }

  hasPlace({ address, user }: PasswordClient): boolean {
    const queue = this.#addresses.get(address)
    const free = this.#max - this.#size
    const freeHere = free - (queue?.size ?? 0)
    return freeHere > (queue?.users.get(user)?.length ?? 0)
  }

  join(check: C): void {
    let queue = this.#addresses.get(check.address)
    if (!queue) this.#addresses.set(check.address, (queue = { users: new Map(), size: 0 }))
    const ofUser = queue.users.get(check.user)
    if (ofUser) ofUser.push(check)
    else queue.users.set(check.user, [check])
    queue.size++
    this.#size++
  }

  /** Removes and returns the next check; undefined: the queue is empty. */
  next(): C | undefined {
    for (const [address, queue] of this.#addresses) {
      for (const [user, ofUser] of queue.users) {
        const check = ofUser.shift()
        queue.size--
        this.#size--
        moveToEnd(queue.users, user, ofUser.length > 0 ? ofUser : undefined)
        moveToEnd(this.#addresses, address, queue.size > 0 ? queue : undefined)
        return check
      }
    }
    return undefined
  }
}

/** @param value undefined: the key is removed */
function moveToEnd<V>(ring: Map<string, V>, key: string, value: V | undefined): void {
  ring.delete(key)
  if (value !== undefined) ring.set(key, value)
}
