import type { Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { tempDir } from './temp-dir.js'

/** Paths of PEM files. */
export interface Pair {
  readonly cert: string
  readonly key: string
}

export interface Subject {
  readonly name?: string
  /** In the syntax of openssl: `DNS:a,URI:b`. */
  readonly san?: string
  /** Days of validity; negative: expired. */
  readonly days?: number
}

/** A certificate authority for one test, with which its files are removed. */
export class Authority implements Pair {
  readonly cert: string
  readonly key: string
  readonly #directory: string
  #count = 0

  constructor(t: Test) {
    this.#directory = tempDir(t)
    this.key = this.#makeKey('ca')
    this.cert = join(this.#directory, 'ca.pem')
    this.#openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      this.key,
      '-subj',
      `/CN=Test CA ${basename(this.#directory)}`,
      '-days',
      '2',
      '-out',
      this.cert,
    )
  }

  issue({ name = 'localhost', san, days = 2 }: Subject = {}): Pair {
    const stem = `${this.#count++}`
    const key = this.#makeKey(stem)
    const [request, cert, extensions] = ['csr', 'pem', 'ext'].map((type) =>
      join(this.#directory, `${stem}.${type}`),
    )
    writeFileSync(extensions!, san === undefined ? '' : `subjectAltName=${san}`)
    this.#openssl('req', '-new', '-key', key, '-subj', `/CN=${name}`, '-out', request!)
    const signed = ['-CA', this.cert, '-CAkey', this.key, '-CAcreateserial', '-extfile', extensions!]
    this.#openssl('x509', '-req', '-in', request!, ...signed, '-days', String(days), '-out', cert!)
    return { cert: cert!, key }
  }

  #makeKey(stem: string): string {
    const path = join(this.#directory, `${stem}.key`)
    this.#openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path)
    return path
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: this.#directory })
  }
}
