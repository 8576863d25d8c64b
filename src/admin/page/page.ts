import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'

/** Modules without imports that the page shares with other readers of the status. The page's files import them by their paths in src/: a browser ignores what leads above its root. */
const shared = ['rates', 'units']

/** The files of the page, by their paths at the admin address. */
const files: Readonly<Record<string, string>> = {
  '/': 'index.html',
  '/page/page.css': 'page.css',
  ...Object.fromEntries(
    ['main', 'client', 'search', 'view', 'table', 'format'].map((name) => [`/page/${name}.js`, `${name}.js`]),
  ),
  ...Object.fromEntries(shared.map((name) => [`/status/${name}.js`, `../../status/${name}.js`])),
}

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
}

/** Only files of this server run or are asked, nothing frames the page, and no text becomes markup. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

/** Is there a file of the page at this path? They hold no data, so they need no token. */
export const isPage = (path: string): boolean => Object.hasOwn(files, path)

const read = new Map<string, string>()

function textOf(name: string): string {
  const known = read.get(name)
  if (known !== undefined) return known
  const text = readFileSync(new URL(name, import.meta.url), 'utf8')
  read.set(name, text)
  return text
}

/** Sends a file of the live page. @param needsToken whether the API needs a token, which the page then asks for */
export function sendPage(path: string, needsToken: boolean, response: ServerResponse): void {
  const name = files[path] ?? ''
  const text = textOf(name).replace('data-token="TOKEN"', `data-token="${needsToken ? 'needed' : 'none'}"`)
  const body = Buffer.from(text)
  response.writeHead(200, {
    'Content-Type': types[name.slice(name.lastIndexOf('.') + 1)],
    'Content-Length': body.length,
    'Content-Security-Policy': policy,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-cache',
  })
  response.end(body)
}
