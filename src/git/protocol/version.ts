/** Wire protocol versions of Git. */
export type ProtocolVersion = 0 | 1 | 2

/**
 * Returns the version that a server uses for a Git-Protocol header: the highest known `version=N` in a list separated by
 * colons; unknown keys and versions are ignored (gitprotocol-http(5); protocol.c, determine_protocol_version_server).
 */
export function protocolVersion(header: string | undefined): ProtocolVersion {
  if (header === undefined) return 0
  const items = header.split(':')
  if (items.includes('version=2')) return 2
  return items.includes('version=1') ? 1 : 0
}

/**
 * Returns the value of GIT_PROTOCOL for a server's Git process. Made from the version alone, so that nothing else of the
 * header reaches the environment; a server reads nothing else from it. undefined: not set, which is version 0.
 */
export function gitProtocol(version: ProtocolVersion): string | undefined {
  return version === 0 ? undefined : `version=${version}`
}
