import type { ObjectDirectories } from '../state/object-directories.js'

/**
 * Variables that point Git at one repository (`git rev-parse --local-env-vars`), or that describe a client's request. The
 * sidecar may have been started inside a hook or behind a CGI server; its Git processes must not inherit these.
 */
const dropped = new Set([
  ...['GIT_DIR', 'GIT_WORK_TREE', 'GIT_COMMON_DIR', 'GIT_INDEX_FILE', 'GIT_PREFIX', 'GIT_IMPLICIT_WORK_TREE'],
  ...['GIT_OBJECT_DIRECTORY', 'GIT_ALTERNATE_OBJECT_DIRECTORIES', 'GIT_QUARANTINE_PATH', 'GIT_SHALLOW_FILE'],
  ...[
    'GIT_GRAFT_FILE',
    'GIT_NO_REPLACE_OBJECTS',
    'GIT_REPLACE_REF_BASE',
    'GIT_CONFIG',
    'GIT_CONFIG_PARAMETERS',
  ],
  ...['GIT_PROTOCOL', 'GIT_PROJECT_ROOT', 'GIT_HTTP_EXPORT_ALL', 'GATEWAY_INTERFACE', 'REQUEST_METHOD'],
  ...['QUERY_STRING', 'PATH_INFO', 'PATH_TRANSLATED', 'CONTENT_TYPE', 'CONTENT_LENGTH'],
  ...['SERVER_PROTOCOL', 'REMOTE_USER', 'REMOTE_ADDR', 'REMOTE_HOST'],
])

/** Returns the part of the sidecar's environment that its Git processes inherit: GIT_NAMESPACE, HOME, GIT_TRACE* stay. */
export function inheritedEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !dropped.has(name) && !name.startsWith('HTTP_'))
  return Object.fromEntries(kept)
}

/**
 * Adds to an environment that this one repository may belong to another user: what is below the configured root is
 * trusted. It is set for one process only (git-config(1), GIT_CONFIG_COUNT), so no configuration file changes.
 * `.` is named too because http-backend starts its services with the repository as their working directory, and
 * Git 2.39 compares exactly that string.
 */
export function trusting(environment: NodeJS.ProcessEnv, gitDir: string): NodeJS.ProcessEnv {
  return withConfig(environment, [
    ['safe.directory', gitDir],
    ['safe.directory', '.'],
  ])
}

/** The name of a configuration variable, and its value. */
export type ConfigPair = readonly [key: string, value: string]

/** Adds configuration for one process (git-config(1), GIT_CONFIG_COUNT): as `-c` does, but not on a command line. */
export function withConfig(environment: NodeJS.ProcessEnv, pairs: readonly ConfigPair[]): NodeJS.ProcessEnv {
  const count = Number(environment['GIT_CONFIG_COUNT'] ?? 0)
  const added = pairs.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${count + index}`, key],
    [`GIT_CONFIG_VALUE_${count + index}`, value],
  ])
  return {
    ...environment,
    GIT_CONFIG_COUNT: String(count + pairs.length),
    ...(Object.fromEntries(added) as NodeJS.ProcessEnv),
  }
}

/**
 * Returns the variables that make a process use these object directories.
 * @param commonDir the repository's common directory, as the process reaches it
 */
export function objectEnvironment(
  commonDir: string,
  { main, alternates }: ObjectDirectories,
): NodeJS.ProcessEnv {
  const inside = (name: string): string => `${commonDir}/${name}`
  const quoted = alternates.map(inside).map(quote)
  return {
    GIT_OBJECT_DIRECTORY: main === undefined ? undefined : inside(main),
    ...(quoted.length > 0 ? { GIT_ALTERNATE_OBJECT_DIRECTORIES: quoted.join(':') } : {}),
  }
}

/** Quotes a path as in C, since it may contain the colon that separates paths (git(1)). */
const quote = (path: string): string => `"${path.replace(/["\\]/g, '\\$&')}"`
