import { idleRules } from '../config/repository-glob.js'
import type { Settings } from '../config/options.js'

/** A line for each rule of the settings that is for none of the repositories. @param paths of all below the root */
export function tellIdleRules({ access, freshness }: Settings, paths: readonly string[]): string[] {
  if (paths.length === 0) return []
  const line = (option: string, rule: string): string =>
    `--${option}: the rule ${rule} matches no repository; write its path below the root, with or without .git`
  return [
    ...idleRules(access ?? [], paths).map(({ glob, action, names }) =>
      line('access', `${glob}=${action}:${names.join('+')}`),
    ),
    ...idleRules(freshness, paths).map(({ glob, mode }) => line('freshness', `${glob}=${mode}`)),
  ]
}
