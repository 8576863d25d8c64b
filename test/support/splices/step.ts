import type { Random } from '../random.js'
import type { ModelRepository } from './model-repository.js'

/** What a step works on. */
export interface StepPlace {
  readonly repository: ModelRepository
  readonly random: Random
  /** Names that a step may use, as Latin-1. */
  readonly names: readonly string[]
  /** Names of the refs that Git listed last. */
  readonly refs: readonly string[]
  /** The repository's URL at the sidecar. */
  readonly url: string
}

/** One kind of change. */
export interface Step {
  readonly name: string
  /** How often it is chosen, beside the others. */
  readonly weight: number
  /** Only for repositories with this ref format. */
  readonly only?: 'files'
  /** Makes a change; a failure of Git leaves the refs as they are, which is a state too. @returns what was done */
  run(place: StepPlace): Promise<string>
}

/** Names that lie close together: some are a prefix of others, some conflict with a directory, some are not UTF-8. */
export const closeNames: readonly string[] = [
  ...['main', 'main2', 'mai', 'a', 'a/b', 'a/b/c', 'a-b', 'a.b', 'a0', 'ab', 'dir/one', 'dir/two'],
  ...['a\xff', '\xff/\x80', '\xc3\xa9', 'dir/\xff\xff'],
]
  .map((name) => `refs/heads/${name}`)
  .concat([
    ...[
      'refs/tags/v1',
      'refs/tags/v1.0',
      'refs/tags/v1/x',
      'refs/tags/w',
      'refs/notes/n',
      'refs/x',
      'refs/x/y',
    ],
    ...['refs/pull/1', 'refs/pull/1/head', 'refs/pull/10/head', 'refs/hidden/h', 'refs/stash', 'refs/heads'],
    ...['refs/remotes/o/HEAD', 'refs/remotes/o/main', 'refs/bisect/bad', 'refs/worktree/w', 'refs/headsman'],
  ])

/** Those that can be arguments of a command, which Node encodes as UTF-8. */
export const asArguments = (names: readonly string[]): string[] =>
  // eslint-disable-next-line no-control-regex
  names.filter((name) => /^[\x00-\x7f]+$/.test(name))

/** Returns a name that exists, mostly, or another one. */
export function pickName({ random, names, refs }: StepPlace): string {
  return refs.length > 0 && random.below(3) > 0 ? random.pick(refs) : random.pick(names)
}

/** Returns an object that a ref may point to: mostly a commit. */
export function pickObject({ random, repository }: StepPlace, ref: string): string {
  const { commits, tags } = repository
  return !ref.startsWith('refs/heads') && random.below(2) === 0 ? random.pick(tags) : random.pick(commits)
}
