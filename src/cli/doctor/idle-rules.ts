import { readRules } from '../../access/rules.js'
import { idleRules } from '../../config/values/repository-glob.js'
import type { Settings } from '../../config/options/options.js'

/**
 * Describes each rule of the settings that applies to no repository.
 * @param paths of all repositories below the root
 * @throws what `readRules` throws
 */
export function describeIdleRules(
  { access, accessFile, freshness }: Settings,
  paths: readonly string[],
): string[] {
  if (paths.length === 0) return []
  const line = (option: string, rule: string): string =>
    `--${option}: the rule ${rule} matches no repository; write its path below the root, with or without .git`
  return [
    ...idleRules(access ?? (accessFile === undefined ? [] : readRules(accessFile)), paths).map(
      ({ glob, action, names }) =>
        line(access ? 'access' : 'access-file', `${glob}=${action}:${names.join('+')}`),
    ),
    ...idleRules(freshness, paths).map(({ glob, mode }) => line('freshness', `${glob}=${mode}`)),
  ]
}
