import type { Option } from '../options/option.js'
import type { Settings } from '../options/options.js'

/** Returns whether a setting says something: a value that equals the default does not, given or not. */
export function isGiven(settings: Settings, { key, schema }: Pick<Option, 'key' | 'schema'>): boolean {
  return JSON.stringify(settings[key as keyof Settings]) !== JSON.stringify(schema.parse(undefined))
}

/** Are there access rules, in whatever file? What may be served then depends on paths below the root. */
export const hasAccessRules = ({ access, accessFile }: Pick<Settings, 'access' | 'accessFile'>): boolean =>
  access !== undefined || accessFile !== undefined
