import type { FetchRequest } from '../protocol/fetch-request.js'
import type { Repository } from '../state/repository.js'
import type { Git } from './git.js'
import { GitError } from './git-error.js'
import { isWhole, packAnswer, PackRefused } from './pack-answer.js'
import { PauseWatch } from './pause-watch.js'
import { startUploadPack } from './upload-pack.js'

/** Milliseconds without a further read after which the readers, and not Git, set the pace; and between two looks at that. */
const pausedMs = 1000
/** Git sends a keep-alive every 5 seconds while it prepares a pack (git-config(1), uploadpack.keepAlive). */
const defaultSilentMs = 10_000

export interface PackOptions {
  /** Does an admitted client wait for it, which must not be shed? */
  readonly admitted?: boolean
  /** Milliseconds without a byte from Git after which its permit is one of pass-through; 10 seconds if left out. */
  readonly silentMs?: number
  /**
   * Called before the stream ends without an error: does it end as a pack should? If so, Git exited with 0, the last packet
   * is a flush packet, and none is an error message. A refusal in the middle is not sound, nor is a round of negotiation of
   * protocol v0 without a pack, but both are whole for their client.
   */
  readonly ended?: (sound: boolean) => void
  /** Called once when the process is gone, with the CPU seconds of it and its children if they are known; see `ChildCpu`. */
  readonly finished?: (cpuSeconds: number | undefined) => void
}

/**
 * Yields the bytes with which `git http-backend` answers `POST git-upload-pack`: those of `git upload-pack
 * --stateless-rpc` (http-backend.c, service_rpc). The first chunk is empty and tells that Git runs. The process ends when the
 * signal aborts or no more is read.
 *
 * Ends only if the bytes are a whole answer for a client: Git exited with 0 after a flush packet, or where the request allows
 * it after another whole packet; or the last packet is an error message.
 * @throws PackRefused if the first packet is an error message; then nothing was yielded. GitError if Git failed otherwise;
 * Overloaded, RepositoryExchanged, FilesystemUnanswered, or the signal's reason
 */
export async function* packFor(
  git: Git,
  repository: Repository,
  { version, body, endsInFlush }: Pick<FetchRequest, 'version' | 'body' | 'endsInFlush'>,
  signal: AbortSignal,
  { admitted = false, silentMs = defaultSilentMs, ended, finished }: PackOptions = {},
): AsyncGenerator<Buffer> {
  const { process, permit } = await startUploadPack(git, repository, {
    mode: '--stateless-rpc',
    version,
    input: body,
    class: 'pack',
    mayGiveUp: true,
    signal,
    admitted,
    measuresCpu: finished !== undefined,
  })
  if (finished) void process.gone.then(() => finished(process.cpuSeconds))
  // Neither slow clients nor a Git that hangs must use up the permits for packs, which are as few as cores.
  const pauses = new PauseWatch(pausedMs, () => permit.becomePass())
  const silences = new PauseWatch(silentMs, () => permit.becomePass())
  silences.begin()
  try {
    yield Buffer.alloc(0)
    const chunks = process.stdout as AsyncIterable<Buffer>
    const ending = yield* packAnswer(chunks, {
      came: () => silences.begin(),
      handing: () => pauses.begin(),
      taken: () => pauses.end(),
    })
    const { code, reason } = await process.ended
    if (code !== 0 && !ending.endsInError) throw new GitError(`git upload-pack: ${reason}`)
    if (!isWhole(ending, { endsInFlush })) throw new GitError('git upload-pack: its output was cut short')
    ended?.(code === 0 && ending.endsInFlush && !ending.hasError)
  } catch (error) {
    // Git is about to exit: its permit is free before its client asks again.
    if (error instanceof PackRefused) await process.ended
    throw process.unanswered ?? error
  } finally {
    pauses.close()
    silences.close()
    process.end()
  }
}
