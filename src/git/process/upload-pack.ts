import { withConfig, type ConfigPair } from './environment.js'
import { GitError, type Git } from './git.js'
import { commonDirInside, spawnIn } from './git-in-repository.js'
import { completeLsRefs } from '../protocol/ls-refs.js'
import { objectEnvironment, type ObjectDirectories } from '../state/object-directories.js'
import { flushPacket, pktLine, PktLineFraming } from '../protocol/pkt-line.js'
import { gitProtocol, type ProtocolVersion } from '../protocol/version.js'
import type { Repository } from '../state/repository.js'

/** What smart HTTP puts before the refs (gitprotocol-http(5), "Smart Server Response"). */
export const serviceHeader: readonly Buffer[] = [pktLine('# service=git-upload-pack\n'), flushPacket]

/**
 * The bytes with which `git http-backend` answers `GET info/refs?service=git-upload-pack`: in protocol v0 and v1 the
 * service's name and a flush packet before the refs, in v2 the capability advertisement alone (gitprotocol-http(5);
 * http-backend.c, get_info_refs). `admitted`: clients wait for it that must not be shed any more.
 * The first chunk is empty and says that Git runs. Ends only if Git exited 0 and its output ended in a flush packet. @throws GitError in every other case
 */
export function advertisement(
  git: Git,
  repository: Repository,
  version: ProtocolVersion,
  signal: AbortSignal,
  admitted = false,
): AsyncGenerator<Buffer> {
  const ahead = version === 2 ? [] : serviceHeader
  return uploadPack(git, repository, { mode: '--http-backend-info-refs', version, ahead, signal, admitted })
}

/** What somebody adds to Git's configuration and to the places of its objects, for one run; checked by those who made it. */
export interface UploadPackOverrides {
  readonly config: readonly ConfigPair[]
  readonly objects: ObjectDirectories | undefined
}

/**
 * An advertisement as above, for one client alone. Takes a turn as pass-through does: it lasts for as long as its client
 * takes, so the signal is that client's.
 */
export function uncachedAdvertisement(
  git: Git,
  repository: Repository,
  version: ProtocolVersion,
  own: UploadPackOverrides,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const ahead = version === 2 ? [] : serviceHeader
  return uploadPack(git, repository, {
    mode: '--http-backend-info-refs',
    version,
    ahead,
    signal,
    overrides: own,
  })
}

/** The complete ref listing of protocol v2: peeled, with symbolic refs and an unborn HEAD. As above. */
export function refListing(
  git: Git,
  repository: Repository,
  objectFormat: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const input = completeLsRefs(objectFormat)
  // Only those ask for it who have got the capability advertisement.
  return uploadPack(git, repository, { mode: '--stateless-rpc', version: 2, input, signal, admitted: true })
}

interface Run {
  readonly mode: '--http-backend-info-refs' | '--stateless-rpc'
  readonly version: ProtocolVersion
  readonly input?: Buffer
  /** What goes out with Git's first bytes: not before, so that if there are none an error can still be told as one. */
  readonly ahead?: readonly Buffer[]
  readonly signal: AbortSignal
  /** Was every client that waits for it let in before? */
  readonly admitted?: boolean
  /** What is asked for one client alone; left out: the run is a fill. */
  readonly overrides?: UploadPackOverrides
}

async function* uploadPack(git: Git, repository: Repository, run: Run): AsyncGenerator<Buffer> {
  const { signal, admitted = false, overrides: own } = run
  const environment = {
    ...withConfig(git.environment, own?.config ?? []),
    ...(own?.objects ? objectEnvironment(commonDirInside(repository), own.objects) : {}),
    GIT_PROTOCOL: gitProtocol(run.version),
  }
  const slotClass = own ? 'pass' : 'fill'
  const permit = await git.acquirePermit({ class: slotClass, group: repository.commonDir, admitted, signal })
  // Strict: the repository is the working directory itself, and nothing beside or below it (path.c, enter_repo).
  const process = spawnIn(git, repository, ['upload-pack', '--strict', run.mode, '.'], {
    environment,
    signal,
    permit,
    mayGiveUp: !own,
  })
  const startedAt = performance.now()
  process.stdin.end(run.input)
  try {
    // From here on it is Git that is waited for, and no turn.
    yield Buffer.alloc(0)
    const framing = new PktLineFraming()
    let ahead = run.ahead ?? []
    for await (const chunk of process.stdout as AsyncIterable<Buffer>) {
      framing.push(chunk)
      yield ahead.length > 0 ? Buffer.concat([...ahead, chunk]) : chunk
      ahead = []
    }
    const { code, reason } = await process.ended
    if (code !== 0) throw new GitError(`git upload-pack: ${reason}`)
    if (!framing.endsInFlush) throw new GitError('git upload-pack: its output was cut short')
    // A slow client's run says nothing of how fast Git is.
    if (!own) git.filled(`${run.mode} v${run.version} ${repository.gitDir}`, performance.now() - startedAt)
  } catch (error) {
    throw process.unanswered ?? error
  } finally {
    process.end()
  }
}
