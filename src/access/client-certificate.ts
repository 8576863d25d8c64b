import { X509Certificate } from 'node:crypto'
import { matchesName } from './names.js'

/** The parts of a certificate that hold names. */
type Named = Pick<X509Certificate, 'subject' | 'subjectAltName'>

/** Kinds of subject alternative names that identify a client (RFC 5280, section 4.2.1.6), as Node writes them. */
const kinds = new Set(['DNS', 'URI', 'email'])

/** One entry of Node's `subjectAltName`. Node quotes a value as in JSON if it could be read as several entries. */
const entry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/gy

/**
 * Returns the names of a certificate's holder: the DNS names, URIs and mail addresses among its subject alternative names,
 * or its common names if there are none.
 */
export function certificateNames(certificate: Named): string[] {
  // Either may be undefined, which Node's types leave out.
  const { subjectAltName = '', subject = '' } = certificate as Partial<Named>
  const names: string[] = []
  for (const [, kind = '', value = ''] of subjectAltName.matchAll(entry)) {
    if (!kinds.has(kind)) continue
    names.push(value.startsWith('"') ? (JSON.parse(value) as string) : value)
  }
  if (names.length > 0) return names
  // Each attribute has a line; Node escapes line feeds and commas in values.
  return subject.split('\n').flatMap((line) => (line.startsWith('CN=') ? [line.slice(3)] : []))
}

/** Returns the first of a certificate's names that is allowed. @param allowed patterns; undefined: all names are */
export function allowedName(certificate: Named, allowed: readonly string[] | undefined): string | undefined {
  const names = certificateNames(certificate)
  if (!allowed) return names[0] ?? ''
  return names.find((name) => allowed.some((pattern) => matchesName(pattern, name)))
}

/** Parses the certificates of a PEM file. @throws Error if there is none, or one is damaged */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw new Error('there is no certificate in it')
  return blocks.map((block) => new X509Certificate(block))
}
