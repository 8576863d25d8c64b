import { X509Certificate } from 'node:crypto'
import { matchesName } from './names.js'

/** Where a certificate has names. */
type Named = Pick<X509Certificate, 'subject' | 'subjectAltName'>

/** The subject alternative names by which a client may be known (RFC 5280, section 4.2.1.6), as Node writes their kinds. */
const kinds = new Set(['DNS', 'URI', 'email'])

/** One entry of Node's `subjectAltName`. A value that could be taken for more than one entry is quoted as in JSON. */
const entry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/gy

/**
 * Who a certificate says its holder is: the DNS names, URIs and mail addresses among its subject alternative names, or
 * its common names if there are none.
 */
export function certificateNames(certificate: Named): string[] {
  // Node's types do not know that there may be none.
  const { subjectAltName = '', subject = '' } = certificate as Partial<Named>
  const names: string[] = []
  for (const [, kind = '', value = ''] of subjectAltName.matchAll(entry)) {
    if (!kinds.has(kind)) continue
    names.push(value.startsWith('"') ? (JSON.parse(value) as string) : value)
  }
  if (names.length > 0) return names
  // One attribute is one line; a line feed or a comma in a value is escaped.
  return subject.split('\n').flatMap((line) => (line.startsWith('CN=') ? [line.slice(3)] : []))
}

/** The first of a certificate's names that may come in. @param allowed patterns; undefined: all may */
export function allowedName(certificate: Named, allowed: readonly string[] | undefined): string | undefined {
  const names = certificateNames(certificate)
  if (!allowed) return names[0] ?? ''
  return names.find((name) => allowed.some((pattern) => matchesName(pattern, name)))
}

/** The certificates of a PEM file's text. @throws Error if there is none, or one is damaged */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw new Error('there is no certificate in it')
  return blocks.map((block) => new X509Certificate(block))
}
