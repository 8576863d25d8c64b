import type { Test } from 'tap'
import { parseRefs } from '../../src/git/protocol/ref-line.js'
import { KnownRefs } from '../../src/git/state/ref-changes/known-refs.js'
import type { FullReason } from '../../src/git/state/ref-changes/full-reason.js'
import type { ListedRefs } from '../../src/git/state/ref-changes/listed-refs.js'
import type { TableReader } from '../../src/git/state/ref-changes/table-changes.js'
import { completeQuery, refsIn } from './ref-answers.js'
import { makeRefObserver, type RefObserver, type RefState } from './ref-observations.js'
import { gitWith } from './repositories.js'

/** Git's whole listing in one state. */
export interface GitListing {
  readonly refs: ListedRefs
  /** Lines by the names of refs, in Latin-1. */
  readonly lines: ReadonlyMap<string, string>
}

/** What a change has shown. */
export interface Seen {
  readonly candidates: readonly string[] | FullReason
  /** Names whose lines differ. */
  readonly changed: readonly string[]
  /** Those of them that no candidate stands for. */
  readonly missed: readonly string[]
}

export interface ChangesRig extends RefObserver {
  /** @param gitDir the repository's directory */
  readonly list: (gitDir: string) => GitListing
  /** Remembers the current state of a repository. */
  readonly remember: (path: string) => Promise<{ known: KnownRefs; state: RefState; listing: GitListing }>
  /** Remembers the state of a repository, changes it, and compares what was found with Git's listings. */
  readonly see: (path: string, change: () => unknown, limit?: number) => Promise<Seen>
}

export const noTables: TableReader = {
  symrefNames: () => Promise.reject(new Error('there are no reftables')),
  changedInTables: () => Promise.reject(new Error('there are no reftables')),
}

/** Makes a root for repositories, and functions that tell what their changes look like. */
export function makeChangesRig(
  t: Test,
  environment: NodeJS.ProcessEnv = {},
  tables: TableReader = noTables,
): ChangesRig {
  const observer = makeRefObserver(t)
  const list = (cwd: string): GitListing => {
    const options = {
      cwd,
      input: completeQuery({ unborn: true }),
      environment: { ...environment, GIT_PROTOCOL: 'version=2' },
      encoding: 'latin1' as const,
    }
    return listingOf(gitWith(options, 'upload-pack', '--stateless-rpc', '.'))
  }
  const remember = async (path: string) => {
    const state = await observer.settled(path)
    const listing = list(state.repository.gitDir)
    const known = await KnownRefs.remember(state.repository, state.refs.details!, { tables })
    if ('full' in known) throw new Error(`not remembered: ${known.full}`)
    t.teardown(() => known.close())
    return { known, state, listing }
  }
  const see = async (path: string, change: () => unknown, limit = 1000): Promise<Seen> => {
    const { known, state, listing } = await remember(path)
    await change()
    // At once, so that it is mostly unsettled.
    const { details } = (await observer.now(path))!.refs
    const { signal } = new AbortController()
    const candidates = await known.candidates(details!, listing.refs, { candidates: limit }, signal)
    known.close()
    const after = list(state.repository.gitDir).lines
    const names = new Set([...listing.lines.keys(), ...after.keys()])
    const changed = [...names].filter((name) => listing.lines.get(name) !== after.get(name)).sort()
    const covers = (name: string): boolean =>
      'full' in candidates || candidates.some((candidate) => name.startsWith(candidate))
    return { candidates, changed, missed: changed.filter((name) => !covers(name)) }
  }
  return { ...observer, list, remember, see }
}

/** @param answer of ls-refs, in Latin-1 */
function listingOf(answer: string): GitListing {
  const refs = [...parseRefs(Buffer.from(answer, 'latin1'))]
  const byName = new Map(refs.map((ref) => [ref.name.toString('latin1'), ref]))
  const symrefs = refs.flatMap(({ name, symrefTarget: target }) => (target ? [{ name, target }] : []))
  const find = (name: Buffer) => byName.get(name.toString('latin1'))
  return { refs: { find, symrefs: () => symrefs }, lines: refsIn(answer) }
}
