import { parseRefs, type Ref } from '../../src/git/protocol/ref-line.js'
import type { ListedRefs } from '../../src/git/state/ref-changes/listed-refs.js'
import { completeQuery } from './ref-answers.js'
import { gitWith } from './repositories.js'

/** Returns refs, which are in order, as a listing. */
export function listedRefs(refs: readonly Ref[]): ListedRefs & { readonly all: ReadonlyMap<string, Ref> } {
  const all = new Map(refs.map((ref) => [ref.name.toString('latin1'), ref]))
  return {
    all,
    find: (name) => all.get(name.toString('latin1')),
    symrefs: () =>
      refs.flatMap(({ name, symrefTarget }) => (symrefTarget ? [{ name, target: symrefTarget }] : [])),
  }
}

/** Asks Git for all refs of a repository. */
export function listRefs(path: string, objectFormat: 'sha1' | 'sha256'): ReturnType<typeof listedRefs> {
  const answer = gitWith(
    {
      cwd: path,
      input: completeQuery({ objectFormat, unborn: true }),
      environment: { GIT_PROTOCOL: 'version=2' },
      encoding: 'latin1',
    },
    ...['-c', 'lsrefs.unborn=advertise', 'upload-pack', '--stateless-rpc', '.'],
  )
  return listedRefs([...parseRefs(Buffer.from(answer, 'latin1'))])
}

/** Returns the names, HEAD too, whose lines differ between two listings. */
export function differences(
  before: ReadonlyMap<string, Ref>,
  now: ReadonlyMap<string, Ref>,
): readonly string[] {
  const text = (ref: Ref | undefined): string =>
    ref ? `${ref.objectId} ${ref.peeled} ${ref.symrefTarget?.toString('latin1')}` : ''
  return [...new Set([...before.keys(), ...now.keys()])].filter(
    (name) => text(before.get(name)) !== text(now.get(name)),
  )
}
