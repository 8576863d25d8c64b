import { request as requestHttp, type RequestOptions } from 'node:http'
import { request as requestHttps } from 'node:https'
import { InvalidArgumentError, Option } from 'commander'
import { defaultAdminAddress, socketPathMax, urlOf } from '../../config/values/addresses.js'
import type { Settings } from '../../config/options/options.js'

/**
 * Makes the option for the address of the sidecar's admin API.
 * @param token where the command takes the admin token from, as a sentence without a full stop
 */
export const adminOption = (token = 'REFSTREAM_ADMIN_TOKEN holds its token'): Option =>
  new Option(
    '--admin <ADDRESS>',
    `admin address of the sidecar: HOST:PORT, tls:HOST:PORT or unix:/PATH; ${token}`,
  )
    .env('REFSTREAM_ADMIN')
    .argParser(parseAdminAddress)
    .default(adminUrl())

/**
 * Parses an admin address; of several, as `serve` takes them, the first.
 * @returns `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`
 */
export function parseAdminAddress(list: string): string {
  const [text = ''] = list.split(',')
  const isSocket = /^unix:\/\P{Cc}+$/u.test(text)
  if (isSocket && Buffer.byteLength(text) <= 'unix:'.length + socketPathMax) return text
  const match = /^(http:\/\/|https:\/\/|tls:)?((?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5}))\/?$/.exec(
    text,
  )
  const port = Number(match?.[3])
  if (!match || port === 0 || port > 65535) {
    throw new InvalidArgumentError('It must be HOST:PORT, tls:HOST:PORT, a URL of these, or unix:/PATH.')
  }
  const tls = match[1] === 'tls:' || match[1] === 'https://'
  return `${tls ? 'https' : 'http'}://${match[2]}`
}

/** Returns where a sidecar with these settings has its admin API: the first of several addresses. */
export const adminUrl = ([address = defaultAdminAddress]: Settings['admin'] = []): string => urlOf(address)

export interface AdminAnswer {
  readonly status: number
  /** Parsed if it is JSON; otherwise the text. */
  readonly body: unknown
}

/** Usual time limit of a response in milliseconds. */
const answerWithinMs = 5000

/**
 * Sends a request to a sidecar's admin API, with the token in REFSTREAM_ADMIN_TOKEN if there is one.
 * @param address `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`
 * @param withinMs time limit in milliseconds, unless the usual one is shorter
 * @throws the system's error if there is no response
 */
export function askAdmin(
  address: string,
  method: string,
  path: string,
  body?: object,
  withinMs: number = answerWithinMs,
): Promise<AdminAnswer> {
  const socketPath = /^unix:(.*)$/.exec(address)?.[1]
  const token = process.env['REFSTREAM_ADMIN_TOKEN']
  const bytes = Buffer.from(body ? JSON.stringify(body) : '')
  const options: RequestOptions = {
    method,
    signal: AbortSignal.timeout(Math.ceil(Math.max(1, Math.min(withinMs, answerWithinMs)))),
    // Node sends no Content-Length for the body of a DELETE by itself.
    headers: {
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(body ? { 'Content-Type': 'application/json', 'Content-Length': bytes.length } : {}),
    },
    ...(socketPath === undefined ? {} : { socketPath }),
  }
  const url = socketPath === undefined ? address : 'http://localhost'
  const request = url.startsWith('https:') ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    request(url + path, options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({ status: response.statusCode ?? 0, body: parsed(text) })
      })
    })
      .on('error', reject)
      .end(bytes)
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
