import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'
import { ask, type Answer } from './http-client.js'
import { fetchV2, postFetch } from './posted-fetch.js'

/** What a client asks: an advertisement, a listing of all refs or of those with a prefix, a pack, a file. */
export type Question = 'v2' | 'v0' | 'refs/' | 'refs/heads/' | 'refs/users/' | 'pack' | 'HEAD'

/** Who asks: the headers that say it. */
export type Who = Readonly<Record<string, string>>

export function askFor(url: string, path: string, question: Question, who: Who, want = ''): Promise<Answer> {
  switch (question) {
    case 'v2':
    case 'v0': {
      const protocol = question === 'v2' ? { 'Git-Protocol': 'version=2' } : {}
      return ask(`${url}/${path}/info/refs?service=git-upload-pack`, { headers: { ...who, ...protocol } })
    }
    case 'HEAD':
      return ask(`${url}/${path}/HEAD`, { headers: who })
    case 'pack':
      return postFetch(url, path, fetchV2([`want ${want}`, 'done']), { headers: who })
    default:
      return postFetch(url, path, listing(question), { headers: who })
  }
}

const listing = (prefix: string): Buffer =>
  Buffer.concat([
    ...['command=ls-refs\n', 'object-format=sha1\n'].map((line) => pktLine(line)),
    Buffer.from('0001'),
    ...['peel\n', 'symrefs\n', ...(prefix === 'refs/' ? [] : [`ref-prefix ${prefix}\n`])].map((line) =>
      pktLine(line),
    ),
    flushPacket,
  ])

/** Returns the refs that an answer has. */
export const refsIn = ({ body }: Answer): Record<string, string> =>
  Object.fromEntries(
    [...body.toString('latin1').matchAll(/([0-9a-f]{40}) (HEAD|refs\/[\w/]+)/g)].map(
      ([, oid, name]) => [name!, oid!] as const,
    ),
  )
