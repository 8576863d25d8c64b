import type { RefQuery } from '../../src/git/protocol/ls-refs.js'
import { pktLine } from '../../src/git/protocol/pkt-line.js'
import { SharedListing } from '../../src/origin/ref-listings.js'
import { Signal, type Entry } from '../../src/streamcache/index.js'

/** A ref of a listing; attributes in Git's order. */
export interface ListedRef {
  readonly name: string
  readonly symrefTarget?: string | undefined
  readonly peeled?: string | undefined
}

const id = (digit: string, objectFormat: 'sha1' | 'sha256'): string =>
  digit.repeat(objectFormat === 'sha1' ? 40 : 64)

/** Returns one line of an answer to ls-refs with these flags. */
function lineOf(
  { name, symrefTarget, peeled }: ListedRef,
  { peel, symrefs }: Flags,
  format: 'sha1' | 'sha256',
): Buffer {
  const born = !(name === 'HEAD' && peeled === 'unborn')
  const attributes = [
    ...(symrefTarget !== undefined && symrefs ? [`symref-target:${symrefTarget}`] : []),
    ...(peeled !== undefined && peel && born ? [`peeled:${id(peeled, format)}`] : []),
  ]
  return pktLine(`${[born ? id('1', format) : 'unborn', name, ...attributes].join(' ')}\n`)
}

type Flags = Omit<RefQuery, 'prefixes'>

/** Returns Git's answer for refs in its order: HEAD first, if it exists. */
export function answerTo(
  refs: readonly ListedRef[],
  { prefixes, ...flags }: RefQuery,
  format: 'sha1' | 'sha256' = 'sha1',
): Buffer {
  const lines = refs
    .filter(({ name }) => prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix)))
    .filter(
      ({ name, peeled }) => !(name === 'HEAD' && peeled === 'unborn') || (flags.unborn && flags.symrefs),
    )
    .map((ref) => lineOf(ref, flags, format))
  return Buffer.concat([...lines, Buffer.from('0000')])
}

export const everything: RefQuery = { peel: true, symrefs: true, unborn: true, prefixes: [] }

/** All combinations of flags, each with no prefixes and with some. */
export const queries: readonly RefQuery[] = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((bits) => {
  const flags = { peel: (bits & 1) > 0, symrefs: (bits & 2) > 0, unborn: (bits & 4) > 0 }
  return [[], ['HEAD', 'refs/heads/', 'refs/tags/'], ['refs/tags/']].map((prefixes) => ({
    ...flags,
    prefixes,
  }))
})

/** Returns many branches, and as many annotated tags. */
export const manyRefs = (count: number): ListedRef[] => [
  { name: 'HEAD', symrefTarget: 'refs/heads/b0000000' },
  ...Array.from({ length: count }, (_, index) => ({ name: `refs/heads/b${String(index).padStart(7, '0')}` })),
  ...Array.from({ length: count }, (_, index) => ({
    name: `refs/tags/t${String(index).padStart(7, '0')}`,
    peeled: '2',
  })),
]

/** Makes a listing in memory; `whole: false`: its flush packet has not come yet. */
export async function sharedListing(answer: Buffer, whole = true): Promise<SharedListing> {
  const listing = new SharedListing()
  const sent = new Signal()
  const source = async function* (): AsyncGenerator<Buffer> {
    for (let at = 0; at < answer.length - 4; at += 65_536)
      yield answer.subarray(at, Math.min(at + 65_536, answer.length - 4))
    if (whole) yield answer.subarray(-4)
    sent.notify()
    if (!whole) await new Signal().wait()
  }
  const done = sent.wait()
  const reading = listing.read({ follow: source } as unknown as Entry)
  await (whole ? reading : done)
  return listing
}
