import type { Git } from './git.js'
import { GitError } from './git.js'
import { trusting } from './environment.js'
import { flushPacket, pktLine, PktLineFraming } from './pkt-line.js'
import { gitProtocol, type ProtocolVersion } from './protocol.js'
import type { Repository } from './repository.js'

/**
 * The bytes with which `git http-backend` answers `GET info/refs?service=git-upload-pack`: in protocol v0 and v1 the
 * service's name and a flush packet before the refs, in v2 the capability advertisement alone (gitprotocol-http(5);
 * http-backend.c, get_info_refs).
 * Ends only if Git exited 0 and its output ended in a flush packet. @throws GitError in every other case
 */
export async function* advertisement(
  git: Git,
  repository: Repository,
  version: ProtocolVersion,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const environment = { ...trusting(git.environment, repository.gitDir), GIT_PROTOCOL: gitProtocol(version) }
  const process = git.spawn(['upload-pack', '--http-backend-info-refs', repository.gitDir], {
    environment,
    signal,
  })
  process.stdin.end()
  try {
    const framing = new PktLineFraming()
    let ahead = version === 2 ? [] : [pktLine('# service=git-upload-pack\n'), flushPacket]
    for await (const chunk of process.stdout as AsyncIterable<Buffer>) {
      framing.push(chunk)
      // The service line goes out with Git's first bytes: if there are none, an error can still be told as one.
      yield ahead.length > 0 ? Buffer.concat([...ahead, chunk]) : chunk
      ahead = []
    }
    const { code, reason } = await process.ended
    if (code !== 0) throw new GitError(`git upload-pack: ${reason}`)
    if (!framing.endsInFlush) throw new GitError('git upload-pack: its output was cut short')
  } finally {
    process.end()
  }
}
