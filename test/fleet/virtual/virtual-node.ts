import type { Claim, ClaimAnswer, HeldClaim } from '../../../src/fleet/engine.js'
import type { Loss, VirtualFleet } from './virtual-fleet.js'

const ttlMs = 10_000
const renewMs = 3000
const beatMs = 3000
const pollMs = 1000
/** Milliseconds without a sign of life after which a node counts as silent. */
const silentMs = 3000
/** Times that a fill is claimed anew after nodes have failed it; then the node makes it alone. */
const failuresMax = 2

/** A fill of one state of a key at one node. */
interface VirtualFill {
  readonly name: string
  readonly key: string
  readonly state: number
  isRunning: boolean
  readonly done: Promise<'entry' | Loss>
  readonly end: (how: 'entry' | Loss) => void
}

/** What a node does with requests, claims and other nodes, as far as counts and times depend on it. */
export class VirtualNode {
  readonly name: string
  #dead = false
  #hangsUntil = 0
  readonly #fleet: VirtualFleet
  readonly #entries = new Map<string, number>()
  readonly #fills = new Map<string, VirtualFill>()

  constructor(name: string, fleet: VirtualFleet) {
    this.name = name
    this.#fleet = fleet
    fleet.time.after(fleet.random.below(beatMs), () => void this.#beat())
  }

  isDead(): boolean {
    return this.#dead
  }

  isRunning(key: string): boolean {
    return [...this.#fills.values()].some((fill) => fill.key === key && fill.isRunning)
  }

  /** Does it wait for the bytes of a fill that another node makes? */
  isWaiting(fill: string): boolean {
    return this.#fills.get(fill)?.isRunning === false && !this.#isHanging()
  }

  /** Answers a client's request. */
  async request(key: string): Promise<void> {
    const fleet = this.#fleet
    if (this.isDead() || this.#isHanging()) return
    fleet.requests++
    const { state } = fleet
    if (this.#entries.get(key) !== state) await this.#fill(key, state).done
    if (this.isDead()) return
    fleet.answers++
    // The entry may be newer by now.
    if (this.#entries.get(key)! < state) fleet.stale++
  }

  /** Ends the process. */
  die(): void {
    this.#dead = true
    this.#entries.clear()
    for (const fill of [...this.#fills.values()]) {
      if (fill.isRunning) this.#fleet.lost(fill.name, 'died')
      this.#end(fill, 'died')
    }
  }

  /** Stops the process for a while, as SIGSTOP does. */
  hang(ms: number): void {
    const { time } = this.#fleet
    this.#hangsUntil = time.now() + ms
    for (const fill of this.#fills.values()) if (fill.isRunning) this.#fleet.lost(fill.name, 'hung')
  }

  #isHanging(): boolean {
    return this.#hangsUntil > this.#fleet.time.now()
  }

  /** Returns the fill of a state, and begins it if there is none. */
  #fill(key: string, state: number): VirtualFill {
    const name = `${key}/${state}`
    const known = this.#fills.get(name)
    if (known) return known
    let end: VirtualFill['end'] = () => undefined
    const done = new Promise<'entry' | Loss>((resolve) => (end = resolve))
    const fill: VirtualFill = { name, key, state, isRunning: false, done, end }
    this.#fills.set(name, fill)
    void this.#make(fill)
    return fill
  }

  #end(fill: VirtualFill, how: 'entry' | Loss): void {
    if (!this.#fills.delete(fill.name)) return
    fill.isRunning = false
    if (how === 'entry') this.#entries.set(fill.key, Math.max(fill.state, this.#entries.get(fill.key) ?? 0))
    fill.end(how)
  }

  async #make(fill: VirtualFill): Promise<void> {
    const { key, state, name } = fill
    const claim: Claim = { repository: 'r', key, state: `${state}`, node: this.name, ttlMs }
    let answer = await this.#claim(claim)
    for (let failures = 1; answer.kind !== 'granted'; failures++) {
      if (answer.kind === 'failed') throw new Error(`${name} has not failed`)
      const how = await this.#ask(answer.node, fill)
      if (this.isDead()) return
      if (how === 'entry') return this.#end(fill, 'entry')
      if (failures > failuresMax) return this.#run(fill, undefined)
      answer =
        how === 'died'
          ? await this.#claim({ ...claim, rob: answer.token })
          : await this.#outwait(claim, answer.token)
    }
    return this.#run(fill, { ...claim, token: answer.token })
  }

  /** Claims until a silent node has lost its lease. @returns the answer */
  async #outwait(claim: Claim, token: string): Promise<ClaimAnswer> {
    for (;;) {
      const answer = await this.#claim(claim)
      if (answer.kind !== 'held' || answer.token !== token) return answer
      const waitMs = Math.min(pollMs, answer.leftMs + 1)
      await this.#sleep(waitMs * (0.8 + this.#fleet.random.below(400) / 1000))
    }
  }

  async #run(fill: VirtualFill, held: HeldClaim | undefined): Promise<void> {
    const fleet = this.#fleet
    if (this.isDead()) return
    fill.isRunning = true
    fleet.began(fill.name)
    const end = fleet.time.now() + fleet.options.fillMs
    for (let left = fleet.options.fillMs; left > 0; left = end - fleet.time.now()) {
      await this.#sleep(Math.min(renewMs, left))
      if (this.isDead()) return
      if (held && left > renewMs) await this.#operate(() => fleet.engine.renew(held))
    }
    this.#end(fill, 'entry')
    if (!held) return
    const entry = { length: 1 }
    const isKept = await this.#operate(() =>
      fleet.engine.publish(held, { kind: 'entry', state: `${fill.state}`, entry }),
    )
    if (!isKept) fleet.losers++
  }

  /** Asks another node, and waits for its bytes. */
  async #ask(name: string, { key, state }: VirtualFill): Promise<'entry' | Loss> {
    const { time, nodes } = this.#fleet
    await this.#sleep(this.#fleet.latency())
    const node = nodes[Number(name.slice(1))]!
    for (;;) {
      if (node.isDead()) return 'died'
      if (node.#isHanging()) {
        await time.sleep(silentMs)
        if (node.isDead()) return 'died'
        if (node.#isHanging()) return 'hung'
      }
      if ((node.#entries.get(key) ?? -1) >= state) return 'entry'
      const fill = node.#fills.get(`${key}/${state}`)
      // It has another state: an asked node answers by what it observes, which is newer.
      if (!fill) return 'entry'
      const signs = time.sleep(1000).then(() => 'sign' as const)
      const end = await Promise.race([fill.done, signs])
      if (end !== 'sign') return end
    }
  }

  #claim(claim: Claim): Promise<ClaimAnswer> {
    return this.#operate(() => this.#fleet.engine.claim(claim))
  }

  async #operate<T>(operation: () => Promise<T>): Promise<T> {
    const fleet = this.#fleet
    await this.#sleep(fleet.latency() / 2)
    fleet.operations++
    const answer = await operation()
    await this.#sleep(fleet.latency() / 2)
    return answer
  }

  /** Sleeps, and longer while the process hangs. */
  async #sleep(ms: number): Promise<void> {
    const { time } = this.#fleet
    // In steps, so that many nodes go on at the same time: each moment costs real time.
    await time.sleep(Math.ceil(ms * 4) / 4)
    while (this.#isHanging()) await time.sleep(this.#hangsUntil - time.now())
  }

  async #beat(): Promise<void> {
    while (!this.isDead()) {
      this.#fleet.beats++
      await this.#fleet.engine.beat(this.name, ttlMs)
      await this.#sleep(beatMs)
    }
  }
}
