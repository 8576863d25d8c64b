import { isDeepStrictEqual } from 'node:util'
import { addressText, type Address, type UnixAddress } from './values/addresses.js'
import { options, type Settings } from './options/options.js'

/** Keys inside a setting's value that are never shown. */
const secretKey = /password|secret|token/i

/**
 * Returns the settings that differ from their defaults, by the names of docs/settings.md, as JSON can hold them, and addresses
 * as settings take them. Secrets are left out: passwords in the URLs of engines, and the user names, passwords and queries of other URLs.
 */
export function changedSettings(settings: Settings): Record<string, unknown> {
  const changed: Record<string, unknown> = {}
  for (const { key, name, schema } of options) {
    const value: unknown = settings[key]
    if (value === undefined || isDeepStrictEqual(value, schema.safeParse(undefined).data)) continue
    changed[name] = withoutSecrets(value)
  }
  return changed
}

const withoutSecrets = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (key, each: unknown) => {
      if (secretKey.test(key)) return undefined
      if (isAddress(each)) return addressText(each)
      return typeof each === 'string' ? publicPart(each) : each
    }),
  )

/** Has a value exactly the fields of an address? */
const isAddress = (value: unknown): value is Address | UnixAddress =>
  typeof value === 'object' &&
  value !== null &&
  /^(?:host,port(?:,tls)?|path)$/.test(Object.keys(value).sort().join())

/** Removes the user name, password and query of each URL in a text. */
const publicPart = (text: string): string =>
  text.replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/)(?:[^/\s]*@)?([^\s?,]*)(?:\?[^\s,]*)?/gi, '$1$2')
