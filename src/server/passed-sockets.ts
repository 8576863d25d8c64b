import { ConfigError } from '../config/values/config-error.js'

/** Names that sockets may have (`FileDescriptorName=` of a socket unit): those of the settings whose addresses they have. */
const names = ['listen', 'admin', 'grpc'] as const
export type PassedSocketName = (typeof names)[number]

/** File descriptors of listening sockets that a service manager has opened, by name, in their order. */
export type PassedSockets = Partial<Record<PassedSocketName, readonly number[]>>

/** The first file descriptor that is passed: SD_LISTEN_FDS_START of sd_listen_fds(3). */
const firstDescriptor = 3
/** More than any socket unit for refstream has use for. */
const countMax = 64

/**
 * Returns the sockets that systemd has passed to this process, as sd_listen_fds(3) describes; none if they are another
 * process's. Removes the variables: they are not for programs that this one starts.
 * @throws ConfigError if a socket has a name of which refstream knows no use: its clients would wait for ever
 */
export function takePassedSockets(environment: NodeJS.ProcessEnv, pid = process.pid): PassedSockets {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment
  if (LISTEN_PID !== String(pid) || LISTEN_FDS === undefined) return {}
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) Reflect.deleteProperty(environment, name)
  const count = Number(LISTEN_FDS)
  if (!Number.isInteger(count) || count < 0 || count > countMax)
    throw new ConfigError(`LISTEN_FDS is ${LISTEN_FDS}: it must be a number up to ${countMax}`)
  const given = LISTEN_FDNAMES === undefined ? [] : LISTEN_FDNAMES.split(':')
  const sockets: Partial<Record<PassedSocketName, number[]>> = {}
  for (let index = 0; index < count; index++) {
    const name = names.find((known) => known === given[index])
    if (name === undefined) throw new ConfigError(unknownName(given[index]))
    ;(sockets[name] ??= []).push(firstDescriptor + index)
  }
  return sockets
}

const unknownName = (name = 'unknown'): string =>
  `a socket that systemd has passed is named ${JSON.stringify(name)}: FileDescriptorName= of its unit must be ${names.join(', ')}`
