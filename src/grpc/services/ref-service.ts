import type { UntypedServiceImplementation } from '@grpc/grpc-js'
import type { ProtocolVersion } from '../../git/protocol/version.js'
import { countedPrefixes, type RefQuery } from '../../git/protocol/ls-refs.js'
import { parseRefs } from '../../git/protocol/ref-line.js'
import { overridesNothing, type GitOverrides } from '../../origin/git-overrides.js'
import { pieces } from '../../service/pieces.js'
import type { Origin } from '../../origin/origin.js'
import type { Target } from '../../origin/target.js'
import { answerBy, type CallOptions, type DataCall } from '../call.js'
import type { DataMessage } from '../proto/data-message.js'
import { RefsWriter, type RefsMessage } from '../proto/refs-message.js'
import { repositoryPath } from './requests.js'
import { RpcError } from '../status.js'

interface AdvertiseRequest {
  readonly repository: string
  readonly protocol: number
  readonly configOptions: readonly string[]
}

interface ListRefsRequest extends Omit<RefQuery, 'prefixes'> {
  readonly repository: string
  readonly prefixes: Buffer[]
}

export interface GrpcRefServiceOptions extends CallOptions {
  readonly origin: Origin
}

/** Serves refstream.v1.RefService. */
export function refService(options: GrpcRefServiceOptions): UntypedServiceImplementation {
  const { origin } = options
  return {
    Advertise: answerBy<AdvertiseRequest, DataMessage>(options, 'advertisement', async (call) => {
      const { repository, protocol, configOptions } = call.request
      const path = repositoryPath(repository)
      if (!isVersion(protocol)) throw new RpcError('invalid', `protocol must be 0, 1 or 2, not ${protocol}`)
      const asked = { version: protocol, overrides: { configOptions } }
      await call.run(path, (target) => sendAdvertisement(call, origin, target, asked))
    }),
    ListRefs: answerBy<ListRefsRequest, RefsMessage>(options, 'ls-refs', async (call) => {
      const { repository, prefixes, peel, symrefs, unborn } = call.request
      const path = repositoryPath(repository)
      call.version = 2
      const names = countedPrefixes(prefixes.map((prefix) => prefix.toString('latin1')))
      // The call keeps its message to its end, and a Buffer takes far more memory than the prefix in it.
      prefixes.length = 0
      const query = { peel, symrefs, unborn, prefixes: names }
      await call.run(path, (target) => sendRefs(call, origin, target, query))
    }),
  }
}

const isVersion = (version: number): version is ProtocolVersion => [0, 1, 2].includes(version)

/** Which advertisement a call asks for. */
export interface AdvertisementRequest {
  readonly version: ProtocolVersion
  readonly overrides: GitOverrides
  /** Sent before the advertisement, with its first bytes. */
  readonly ahead?: readonly Buffer[]
}

/** Sends an advertisement: the shared one, or with overrides, or where there is none to share, an uncached one. */
export async function sendAdvertisement<Request>(
  call: DataCall<Request, DataMessage>,
  origin: Origin,
  target: Target,
  { version, overrides, ahead = [] }: AdvertisementRequest,
): Promise<void> {
  call.version = version
  const reading = overridesNothing(overrides) ? await origin.advertise(target, version) : undefined
  if (!reading) {
    const chunks = await origin.advertiseUncached(target, version, overrides, call.signal)
    await sendChunks(call, chunks, ahead)
    call.outcome = 'passthrough'
    return
  }
  const { follower, reuse } = reading
  // Also wakes a follower that waits for bytes.
  call.onAbort(() => follower.close())
  await sendChunks(call, follower, ahead)
  call.outcome = reuse
}

/** @throws what reading the chunks throws; then the answer is not whole */
async function sendChunks<Request>(
  call: DataCall<Request, DataMessage>,
  chunks: AsyncIterable<Buffer>,
  ahead: readonly Buffer[],
): Promise<void> {
  let first: readonly Buffer[] = ahead
  for await (const chunk of chunks) {
    for (const piece of pieces(chunk, () => call.messageSize)) {
      const data = first.length > 0 ? Buffer.concat([...first, piece]) : piece
      first = []
      if (!(await call.send({ data }, data.length))) return
    }
  }
}

async function sendRefs(
  call: DataCall<ListRefsRequest, RefsMessage>,
  origin: Origin,
  target: Target,
  query: RefQuery,
): Promise<void> {
  const answer = await origin.listRefs(target, query)
  if (!answer) throw new Error('there is no listing although no object format was asked for')
  call.throwIfAborted()
  const writer = new RefsWriter(call)
  const send = (): Promise<boolean> => {
    const message = writer.take()
    return call.send(message, message.encoded.length)
  }
  const { listing } = answer
  for await (const part of listing.cut(query)) {
    for (const ref of parseRefs(part)) {
      if (writer.add(ref)) continue
      if (!(await send())) return
      writer.add(ref)
    }
    // The parts of a whole listing come at once, and fill the messages. Others may be followed by a wait.
    if (!listing.complete && writer.length > 0 && !(await send())) return
    call.throwIfAborted()
  }
  if (writer.length > 0 && !(await send())) return
  call.outcome = answer.reuse
}
