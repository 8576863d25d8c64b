import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { systemClock, type Clock } from '../../../limits/clock.js'
import { atMostEvery, type Log } from '../../../telemetry/log.js'
import type { Metrics } from '../../../telemetry/metrics.js'
import type { Tracing } from '../../../telemetry/tracing/tracing.js'
import { AnswerReader, type AnswerBegin } from './answer-reader.js'
import { Member, type MemberTls, type PeerMember } from './member.js'
import { sendRequest, StaleConnection, unreachable, type PeerTimes } from './peer-request.js'
import {
  PeerRefused,
  PeerSilent,
  PeerUnreachable,
  type FaultCodec,
  type PeerAnswer,
  type PeerQuestion,
  type Peers,
} from '../peer.js'
import { Prover, sha256Of } from '../protocol/proof.js'
import {
  bodyMax,
  entriesPath,
  headersOf,
  isDigest,
  messagesPath,
  sessionHeader,
} from '../protocol/request-head.js'

export interface PeerClientOptions {
  /** This node's name. */
  readonly node: string
  /** All nodes of the fleet; this one may be among them. From the settings, never from the engine. */
  readonly members: readonly PeerMember[]
  /** The fleet secret, of 16 characters or more. */
  readonly secret?: string | undefined
  readonly tls?: MemberTls | undefined
  readonly codec: FaultCodec
  readonly metrics: Pick<Metrics, 'fleetPeerRequests' | 'fleetPeerBytes'>
  readonly log: Log
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
  readonly clock?: Clock | undefined
  readonly limits?: Partial<PeerClientLimits> | undefined
}

export interface PeerClientLimits {
  /** Connections to one node. */
  readonly connections: number
  /** Questions to one node that wait for a connection. */
  readonly waiting: number
  /** Milliseconds for a connection. */
  readonly connectMs: number
  /** Milliseconds without a sign of life, of which a node sends one each second. */
  readonly silenceMs: number
  /** Milliseconds in which a node must have heard a message. */
  readonly tellMs: number
}

const defaults: PeerClientLimits = {
  connections: 256,
  waiting: 4096,
  connectMs: 1000,
  silenceMs: 3000,
  tellMs: 1000,
}

/** Milliseconds between two log lines about nodes that do not take this one for a node of their fleet. */
const logMs = 60_000

interface AskTerms {
  readonly sha256?: string | undefined
  readonly signal: AbortSignal
}

interface Sent {
  readonly reader: AnswerReader
  readonly begin: AnswerBegin
}

/** Asks other nodes over HTTP/1.1; a node is asked at its address in the list of members, and at no other. */
export class PeerClient implements Peers {
  readonly #options: PeerClientOptions
  readonly #limits: PeerClientLimits
  readonly #members: ReadonlyMap<string, Member>
  readonly #prover: Prover
  readonly #times: PeerTimes
  readonly #logRefusal: (member: Member, reason: string) => void

  /** @throws Error if the members or the secret cannot be used */
  constructor(options: PeerClientOptions) {
    this.#options = options
    this.#limits = { ...defaults, ...options.limits }
    const { node, members, secret, tls, clock = systemClock, log } = options
    const { connections, connectMs, silenceMs } = this.#limits
    const others = members.filter(({ name }) => name !== node)
    this.#members = new Map(others.map((member) => [member.name, new Member(member, connections, tls)]))
    this.#prover = new Prover(secret)
    this.#times = { clock, connectMs, silenceMs }
    this.#logRefusal = atMostEvery(logMs, ({ name, address }: Member, reason: string) =>
      log.warn(
        { node: name, address, reason },
        'another node does not take this one for a node of its fleet',
      ),
    )
  }

  ask(node: string, question: PeerQuestion, terms: AskTerms): Promise<PeerAnswer> {
    const { tracing } = this.#options
    if (!tracing) return this.#ask(node, question, terms)
    return tracing.client('peer', { 'refstream.peer.node': node }, async (headers, span) => {
      const answer = await this.#ask(node, question, terms, headers)
      span?.end()
      return answer
    })
  }

  async #ask(
    node: string,
    question: PeerQuestion,
    { sha256, signal }: AskTerms,
    traced?: Readonly<Record<string, string>>,
  ): Promise<PeerAnswer> {
    const sent = await this.#counted(signal, async () => {
      const member = this.#memberOf(node)
      // A digest in another form cannot be that of an answer.
      const have = isDigest(sha256) ? sha256 : undefined
      const sent = await this.#send(member, entriesPath, question, have, signal, traced)
      const isAsked = sent.begin.kind === 'head' || (sent.begin.kind === 'unchanged' && have !== undefined)
      if (!isAsked) throw unreachable(member, `has answered with ${sent.begin.kind}, which was not asked for`)
      return sent
    })
    const { reader, begin } = sent
    if (begin.kind === 'unchanged') {
      this.#count('unchanged')
      return { body: 'unchanged', ageMs: begin.ageMs, notes: () => ({}) }
    }
    return { body: this.#countedBytes(reader, signal), ageMs: begin.ageMs, notes: () => reader.notes }
  }

  /**
   * Tells all other members at once, each of which has a second for it, and resolves when all have heard it. If one may not
   * have, it rejects when all are done, so that as many as can know. PeerSilent: a node that may be serving clients now has
   * perhaps not heard it. PeerUnreachable: nodes are not there, or their connections broke; a node that is down has heard
   * nothing, and when it starts again it does not know of the message unless it learns of its matter in another way. A caller
   * for which all must know, such as one that opens a mutator lease while the engine is away, fails on both.
   */
  async tell(message: PeerQuestion): Promise<void> {
    const told = [...this.#members.values()].map((member) => this.#tellOne(member, message))
    const errors = (await Promise.allSettled(told)).flatMap((each) =>
      each.status === 'rejected' ? [each.reason as Error] : [],
    )
    if (errors.length === 0) return
    const text = errors.map((error) => error.message).join('; ')
    const cause = errors.length === 1 ? errors[0] : new AggregateError(errors, text)
    const Kind = errors.some((error) => error instanceof PeerSilent) ? PeerSilent : PeerUnreachable
    throw new Kind(`not all nodes have heard a message: ${text}`, { cause })
  }

  /** Uses other certificates for connections that are made from now on. */
  setTls(tls: MemberTls): void {
    for (const member of this.#members.values()) member.setTls(tls)
  }

  /** Closes all connections: questions under way fail. */
  close(): void {
    for (const member of this.#members.values()) member.close()
  }

  async #tellOne(member: Member, message: PeerQuestion): Promise<void> {
    const abort = new AbortController()
    const { tellMs } = this.#limits
    const stop = this.#times.clock.after(tellMs, () =>
      abort.abort(new PeerSilent(`node ${member.name} has not answered in ${tellMs} ms`)),
    )
    try {
      const { begin } = await this.#send(member, messagesPath, message, undefined, abort.signal)
      if (begin.kind !== 'heard') throw unreachable(member, `has answered a message with ${begin.kind}`)
    } finally {
      stop()
    }
  }

  #memberOf(node: string): Member {
    const member = this.#members.get(node)
    if (member) return member
    const what = node === this.#options.node ? 'is this node itself' : 'is not among --fleet-members'
    throw new PeerUnreachable(`node ${node.slice(0, 64)} ${what}`)
  }

  /** Sends a question and reads the beginning of its answer. */
  async #send(
    member: Member,
    path: string,
    question: PeerQuestion,
    have: string | undefined,
    signal: AbortSignal,
    traced?: Readonly<Record<string, string>>,
  ): Promise<Sent> {
    const body = Buffer.from(JSON.stringify(question))
    if (body.length > bodyMax)
      throw new PeerRefused('elsewhere', `the question has more than ${bodyMax} bytes`)
    const bodySha256 = sha256Of(body)
    let isNew = false
    let isNewSession = false
    for (;;) {
      if (!isNew && member.waiting >= this.#limits.waiting) {
        throw new PeerRefused('elsewhere', `too many questions wait for connections to node ${member.name}`)
      }
      const { session } = member
      const head = {
        ...{ from: this.#options.node, to: member.name, session, bodySha256, have },
        nonce: randomBytes(16).toString('hex'),
      }
      const proof = this.#prover.request({ ...head, method: 'POST', path })
      const headers = { ...traced, ...headersOf({ ...head, proof, length: body.length }) }
      let response: IncomingMessage
      try {
        response = await sendRequest({ member, path, headers, body, isNew, signal }, this.#times)
      } catch (error) {
        if (!(error instanceof StaleConnection)) throw error
        // This tells nothing of the node: it is asked again, once, since a new connection is not a kept one.
        isNew = true
        continue
      }
      learnSession(member, response)
      if (response.statusCode === 401 && !isNewSession && member.session !== session) {
        response.resume()
        isNewSession = true
        continue
      }
      if (response.statusCode !== 200) throw this.#statusError(member, response)
      const { codec } = this.#options
      const options = { member, prover: this.#prover, request: proof, codec, times: this.#times, signal }
      const reader = new AnswerReader(response, options)
      return { reader, begin: await reader.begin() }
    }
  }

  /**
   * Returns what a status other than 200 means. A stranger can send it too, so it is believed no more than a reset; but a node
   * that takes this one for a stranger is alive, and must not be robbed.
   */
  #statusError(member: Member, response: IncomingMessage): Error {
    const { statusCode = 0 } = response
    response.resume()
    if (statusCode === 401) this.#logRefusal(member, 'HTTP 401: it does not accept the proof of this node')
    if (statusCode === 421) this.#logRefusal(member, 'HTTP 421: another node is at this address')
    const meaning = meanings[statusCode]
    if (meaning === undefined || statusCode === 503)
      return unreachable(member, `has answered ${meaning ?? `HTTP ${statusCode}`}`)
    return new PeerRefused('different', `node ${member.name} has answered ${meaning}`)
  }

  async #counted<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      // What this node itself has ended tells nothing.
      if (!signal.aborted) this.#count(resultOf(error))
      throw error
    }
  }

  #countedBytes(reader: AnswerReader, signal: AbortSignal): AsyncIterable<Buffer> {
    const bytes = reader.bytes()
    const next = async (): Promise<IteratorResult<Buffer>> => {
      const result = await this.#counted(signal, () => bytes.next())
      if (result.done === true) this.#count('ok')
      else this.#options.metrics.fleetPeerBytes.inc({ direction: 'received' }, result.value.length)
      return result
    }
    return { [Symbol.asyncIterator]: () => ({ next, return: () => bytes.return!() }) }
  }

  #count(result: string): void {
    this.#options.metrics.fleetPeerRequests.inc({ direction: 'asked', result })
  }
}

const meanings: Readonly<Record<number, string>> = {
  401: 'HTTP 401: it does not accept the proof of this node; is the fleet secret the same on all nodes?',
  404: 'HTTP 404: what listens there is not a node of a fleet',
  421: 'HTTP 421: another node is at this address; correct --fleet-members',
  503: 'HTTP 503: it is about to end',
}

function learnSession(member: Member, { headers }: IncomingMessage): void {
  const session = headers[sessionHeader]
  if (typeof session === 'string' && /^[0-9a-f]{32}$/.test(session)) member.session = session
}

function resultOf(error: unknown): string {
  if (error instanceof PeerRefused) return 'refused'
  if (error instanceof PeerSilent) return 'silent'
  return error instanceof PeerUnreachable ? 'broken' : 'failed'
}
