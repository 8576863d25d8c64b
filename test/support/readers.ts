import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'
import type { Read } from './history.js'
import { gitClient } from './git-client.js'
import { ask, infoRefs } from './http-client.js'

/** A client that reads refs repeatedly. */
export interface Reader {
  /** Reads once. @throws if there is no whole answer */
  read(): Promise<Read>
}

/** @param prefixes `ref-prefix` arguments in protocol v2; none: all refs */
export function createReader(
  url: string,
  repository: string,
  registers: readonly string[],
  version: 0 | 1 | 2,
  prefixes: readonly string[] = [],
): Reader {
  const covered =
    prefixes.length === 0
      ? registers
      : registers.filter((name) => prefixes.some((each) => name.startsWith(each)))
  const headers = { 'Git-Protocol': `version=${version}` }
  const body = Buffer.concat([
    pktLine('command=ls-refs\n'),
    Buffer.from('0001'),
    ...['symrefs', 'peel', ...prefixes.map((prefix) => `ref-prefix ${prefix}`)].map((line) =>
      pktLine(`${line}\n`),
    ),
    flushPacket,
  ])
  const lsRefs = {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/x-git-upload-pack-request' },
    body,
  }
  // Most answers equal the previous one: their values are stored once.
  let last: { readonly body: Buffer; readonly values: Read['values'] } | undefined
  return {
    async read() {
      const start = performance.now()
      const { status, body } =
        version === 2
          ? await ask(`${url}/${repository}/git-upload-pack`, lsRefs)
          : await ask(infoRefs(url, repository), { headers })
      const end = performance.now()
      if (status !== 200) throw new Error(`protocol v${version}: HTTP ${status} ${body}`)
      if (!last?.body.equals(body)) last = { body, values: valuesIn(body, covered) }
      return { start, end, values: last.values }
    },
  }
}

/** A reader that runs Git's own client: `git ls-remote`. @param cwd a directory without a repository */
export function createGitReader(
  url: string,
  repository: string,
  registers: readonly string[],
  version: 0 | 1 | 2,
  cwd: string,
): Reader {
  const client = gitClient(version)
  return {
    async read() {
      const start = performance.now()
      const text = await client(cwd, 'ls-remote', '--symref', `${url}/${repository}`)
      const end = performance.now()
      const seen = new Map<string, string>()
      for (const [, value = '', ref = ''] of text.matchAll(/^(?:ref: )?(\S+)\t(HEAD|refs\/\S+)$/gm)) {
        // HEAD has a line for its target and one for its commit.
        if (!/^0+$/.test(value) && (ref !== 'HEAD' || value.startsWith('refs/'))) seen.set(ref, value)
      }
      return { start, end, values: new Map(registers.map((register) => [register, seen.get(register)])) }
    },
  }
}

/**
 * Returns the values of some refs in an advertisement or an answer to ls-refs (gitprotocol-pack(5), gitprotocol-v2(5)).
 * While a loose ref is deleted, Git may find its name and not its file, and then lists it with an object id of zeros.
 */
function valuesIn(body: Buffer, registers: readonly string[]): Read['values'] {
  const text = body.toString()
  const seen = new Map<string, string>()
  for (const [, id = '', ref = ''] of text.matchAll(/([0-9a-f]{40}) (refs\/[^\0\n ^]+)(?=[\0\n ])/g)) {
    if (!/^0+$/.test(id)) seen.set(ref, id)
  }
  const target = / symref=HEAD:(\S+)|[0-9a-f]{40} HEAD symref-target:(\S+)/.exec(text)
  if (target) seen.set('HEAD', (target[1] ?? target[2])!)
  return new Map(registers.map((register) => [register, seen.get(register)]))
}
