import { constants, createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { certificatesIn } from '../access/client-certificate.js'
import { linesOf } from '../access/names.js'
import { readSettingFile } from '../config/files.js'

export interface TlsFiles {
  readonly cert: string
  readonly key: string
  /** Certificates of the authorities that sign client certificates; undefined: clients need no certificate. */
  readonly clientCa: string | undefined
  /** Patterns of client names that are accepted; undefined: every client with a valid certificate is. */
  readonly clientNames: string | undefined
}

/** What was read from the files. */
export interface TlsMaterial {
  readonly context: SecureContextOptions & { readonly cert: string; readonly ca?: string }
  readonly clients:
    { readonly authorities: readonly X509Certificate[]; readonly names: string[] | undefined } | undefined
}

/**
 * Reads the files and checks that they can be used together.
 * @throws Error that names the file if something is missing, damaged, or does not belong together
 */
export function readTlsMaterial({ cert, key, clientCa, clientNames }: TlsFiles): TlsMaterial {
  const pem = readSettingFile(cert).toString()
  const certificates = certificatesOf(cert, pem)
  const ca = clientCa === undefined ? undefined : readSettingFile(clientCa).toString()
  const authorities = ca === undefined ? undefined : certificatesOf(clientCa!, ca)
  const keyPem = readSettingFile(key)
  const privateKey = privateKeyIn(key, keyPem.toString('latin1'))
  checkKey({ cert, key }, certificates, privateKey)
  const context: TlsMaterial['context'] = {
    cert: pem,
    key: keyPem,
    // The client certificate is not verified again when a session is resumed.
    ...(ca === undefined ? {} : { ca, secureOptions: constants.SSL_OP_NO_TICKET }),
  }
  createSecureContext(context)
  return {
    context,
    clients:
      authorities === undefined
        ? undefined
        : {
            authorities,
            names: clientNames === undefined ? undefined : linesOf(clientNames).map(({ line }) => line),
          },
  }
}

/** @throws Error that names both files if the key is not that of the first certificate */
function checkKey(
  { cert, key }: Pick<TlsFiles, 'cert' | 'key'>,
  certificates: readonly X509Certificate[],
  privateKey: KeyObject,
): void {
  if (certificates[0]!.checkPrivateKey(privateKey)) return
  const isLater = certificates.some((certificate) => certificate.checkPrivateKey(privateKey))
  const reason = isLater
    ? `it belongs to a later one: the server's own must come first in ${cert}`
    : 'a mismatch'
  throw new Error(`the key in ${key} does not belong to the certificate in ${cert}: ${reason}`)
}

/** @throws Error that names the file */
function certificatesOf(path: string, pem: string): X509Certificate[] {
  try {
    return certificatesIn(pem)
  } catch (error) {
    const hint = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem) ? ', but a private key' : ''
    throw new Error(`${path}: ${(error as Error).message}${hint}`, { cause: error })
  }
}

/** @throws Error that names the file and the kind of its content, but quotes nothing of it: it may be secret */
function privateKeyIn(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    const kind = kindOf(pem, (error as NodeJS.ErrnoException).code)
    throw new Error(`${path}: there is no private key in it that can be used${kind}`, { cause: error })
  }
}

/** Describes what a file holds instead of a private key that can be used. */
function kindOf(pem: string, code: string | undefined): string {
  if (code === 'ERR_MISSING_PASSPHRASE' || pem.includes('ENCRYPTED')) {
    return ': it is encrypted; make one without a passphrase (openssl pkey -in FILE -out FILE)'
  }
  const [, label] = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(pem) ?? []
  if (label === undefined) return ': it is not PEM (-----BEGIN PRIVATE KEY-----)'
  if (label.endsWith('PRIVATE KEY')) return ': it is damaged, or of an unknown kind'
  return `, but a ${label.toLowerCase()}`
}
