import type { Settings } from '../../config/options/options.js'
import { credentialFromFile, type CredentialFile } from '../../origin/upstream/credentials/credential-file.js'
import type { CredentialSource } from '../../origin/upstream/credentials/credential-source.js'
import { GitCredential } from '../../origin/upstream/credentials/git-credential.js'
import { atMostEvery } from '../../telemetry/log.js'
import type { OriginParts } from './origin-parts.js'

/** Returns the content of the credential file that was read last. */
export type UpstreamCredentialFile = () => CredentialFile

/** Least time in milliseconds between two log lines about a credential that is refused. */
const refusedQuietMs = 60_000

/** Returns where refstream's own credential for an upstream comes from; undefined: clients bring theirs. */
export function openUpstreamCredentials(
  { upstreamCredentials }: Settings,
  url: string,
  file: UpstreamCredentialFile | undefined,
  { git, log }: Pick<OriginParts, 'git' | 'log'>,
): CredentialSource | undefined {
  if (upstreamCredentials !== 'service') return undefined
  const events = {
    refused: atMostEvery(refusedQuietMs, (refusedBy: string) =>
      log.error({ upstream: refusedBy }, 'an upstream refuses refstream’s credential; give another one'),
    ),
  }
  return file ? credentialFromFile(file, url, events) : new GitCredential({ git, url, events })
}
