/** The content of an Authorization header: Basic (RFC 7617), Bearer (RFC 6750), or another scheme. */
export type Credentials =
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string }
  | { readonly scheme: 'bearer'; readonly token: string }
  | { readonly scheme: 'other' }

/** Parses an Authorization header; undefined: there is none, or more than one, which counts as none. */
export function parseCredentials(header: string | string[] | undefined): Credentials | undefined {
  if (typeof header !== 'string') return undefined
  const [, scheme = '', value = ''] = /^([A-Za-z]+) +([\x21-\x7e]+) *$/.exec(header) ?? []
  if (/^bearer$/i.test(scheme)) return { scheme: 'bearer', token: value }
  if (!/^basic$/i.test(scheme)) return { scheme: 'other' }
  const text = Buffer.from(value, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon < 0) return { scheme: 'other' }
  return { scheme: 'basic', user: text.slice(0, colon), password: text.slice(colon + 1) }
}
