import type { Permit, ProcessClass } from '../../limits/process/process-limiter.js'
import { withConfig, type ConfigPair, objectEnvironment } from './environment.js'
import type { Git } from './git.js'
import type { GitProcess, ProcessOptions } from './git-process.js'
import { GitError } from './git-error.js'
import { commonDirInside, spawnIn } from './git-in-repository.js'
import { completeLsRefs } from '../protocol/ls-refs.js'
import type { ObjectDirectories } from '../state/object-directories.js'
import { AnswerEnding } from '../protocol/answer-ending.js'
import { flushPacket, pktLine } from '../protocol/pkt-line.js'
import { gitProtocol, type ProtocolVersion } from '../protocol/version.js'
import type { Repository } from '../state/repository.js'

/** The packets that smart HTTP puts before the refs (gitprotocol-http(5), "Smart Server Response"). */
export const serviceHeader: readonly Buffer[] = [pktLine('# service=git-upload-pack\n'), flushPacket]

/** A run whose result is shared. */
const fill = { class: 'fill', mayGiveUp: true } as const

/**
 * Yields the bytes with which `git http-backend` answers `GET info/refs?service=git-upload-pack`: in protocol v0 and v1
 * the service's name and a flush packet before the refs, in v2 the capability advertisement alone (gitprotocol-http(5);
 * http-backend.c, get_info_refs).
 * The first chunk is empty and tells that Git runs. Ends only if Git exited with 0 and its output ended in a flush packet.
 * @param admitted does an admitted client wait for it, which must not be shed?
 * @throws GitError in every other case
 */
export function advertisement(
  git: Git,
  repository: Repository,
  version: ProtocolVersion,
  signal: AbortSignal,
  admitted = false,
): AsyncGenerator<Buffer> {
  const ahead = version === 2 ? [] : serviceHeader
  const mode = '--http-backend-info-refs'
  return uploadPack(git, repository, { ...fill, mode, version, ahead, signal, admitted })
}

/** Configuration and object directories that one client adds for one run, already checked. */
export interface UploadPackOverrides {
  readonly config: readonly ConfigPair[]
  readonly objects: ObjectDirectories | undefined
}

/**
 * Yields an advertisement as above, for one client alone. Its permit is of the class of pass-through, because the run
 * lasts as long as its client takes to read; the signal is that client's.
 */
export function uncachedAdvertisement(
  git: Git,
  repository: Repository,
  version: ProtocolVersion,
  overrides: UploadPackOverrides,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const ahead = version === 2 ? [] : serviceHeader
  const mode = '--http-backend-info-refs'
  const forOneClient = { class: 'pass', mayGiveUp: false } as const
  return uploadPack(git, repository, { ...forOneClient, mode, version, ahead, signal, overrides })
}

/**
 * Yields the complete ref listing of protocol v2, as above: peeled, with symbolic refs and an unborn HEAD.
 * @param prefixes of names, bytes as Latin-1: only these refs; left out: all
 */
export function refListing(
  git: Git,
  repository: Repository,
  objectFormat: string,
  signal: AbortSignal,
  prefixes?: readonly string[],
): AsyncGenerator<Buffer> {
  const input = completeLsRefs(objectFormat, prefixes)
  // Clients ask for it that have received the capability advertisement.
  const mode = '--stateless-rpc'
  const work = prefixes ? 'some refs' : 'all refs'
  return uploadPack(git, repository, { ...fill, work, mode, version: 2, input, signal, admitted: true })
}

interface Run extends UploadPackRun {
  /** Sent with Git's first bytes and not before, so that a failure without output can still be answered by a status code. */
  readonly ahead?: readonly Buffer[]
  /** What it does, as far as its duration depends on that; left out: the same each time. */
  readonly work?: string
}

async function* uploadPack(git: Git, repository: Repository, run: Run): AsyncGenerator<Buffer> {
  const { process } = await startUploadPack(git, repository, run)
  const startedAt = performance.now()
  try {
    // From here on the wait is for Git and not for a permit.
    yield Buffer.alloc(0)
    const ending = new AnswerEnding()
    let ahead = run.ahead ?? []
    for await (const chunk of process.stdout as AsyncIterable<Buffer>) {
      ending.push(chunk)
      ending.requirePackets()
      yield ahead.length > 0 ? Buffer.concat([...ahead, chunk]) : chunk
      ahead = []
    }
    const { code, reason } = await process.ended
    if (code !== 0) throw new GitError(`git upload-pack: ${reason}`)
    if (!ending.endsInFlush) throw new GitError('git upload-pack: its output was cut short')
    // The time of a run for one client depends on that client.
    if (run.class === 'fill') {
      const kind = `${run.mode} v${run.version} ${run.work ?? ''} ${repository.gitDir}`
      git.filled(kind, performance.now() - startedAt)
    }
  } catch (error) {
    throw process.unanswered ?? error
  } finally {
    process.end()
  }
}

/** One run of `git upload-pack`. */
export interface UploadPackRun extends Pick<ProcessOptions, 'measuresCpu'> {
  readonly mode: '--http-backend-info-refs' | '--stateless-rpc'
  readonly version: ProtocolVersion
  readonly input?: Buffer
  readonly class: ProcessClass
  /** May the process be given up if the repository's filesystem does not answer? */
  readonly mayGiveUp: boolean
  readonly signal: AbortSignal
  /** Does an admitted client wait for it? */
  readonly admitted?: boolean
  readonly overrides?: UploadPackOverrides
}

/** A run that has started. The process releases the permit when it is gone. */
export interface StartedUploadPack {
  readonly process: GitProcess
  readonly permit: Permit
}

/**
 * Starts `git upload-pack` in a repository, with its input, once it has a permit. The caller ends the process.
 * @throws Overloaded, RepositoryExchanged, or the signal's reason
 */
export async function startUploadPack(
  git: Git,
  repository: Repository,
  run: UploadPackRun,
): Promise<StartedUploadPack> {
  const { mode, version, input, mayGiveUp, signal, admitted = false, measuresCpu = false, overrides } = run
  const environment = {
    ...withConfig(git.environment, overrides?.config ?? []),
    ...(overrides?.objects ? objectEnvironment(commonDirInside(repository), overrides.objects) : {}),
    GIT_PROTOCOL: gitProtocol(version),
  }
  const permit = await git.acquirePermit({ class: run.class, group: repository.commonDir, admitted, signal })
  // Strict: the repository is the working directory itself, and nothing beside or below it (path.c, enter_repo).
  const process = spawnIn(git, repository, ['upload-pack', '--strict', mode, '.'], {
    environment,
    signal,
    permit,
    mayGiveUp,
    measuresCpu,
  })
  process.stdin.end(input)
  return { process, permit }
}
