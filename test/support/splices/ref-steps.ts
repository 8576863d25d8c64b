import { bulkNames, runGit, type GitResult } from './model-repository.js'
import { asArguments, pickName, pickObject, type Step, type StepPlace } from './step.js'

/** Runs update-ref with commands, of which each is a list of its parts (git-update-ref(1), -z). */
function updateRefs(place: StepPlace, commands: readonly string[]): Promise<GitResult> {
  const { random, repository } = place
  const input = Buffer.from(commands.join(''), 'latin1')
  return runGit(random.pick(repository.workplaces), ['update-ref', '--stdin', '-z'], { input })
}

const update = (ref: string, id: string): string => `update ${ref}\0${id}\0\0`
const remove = (ref: string): string => `delete ${ref}\0\0`

/** Returns a command that changes a ref: updates it, creates it or deletes it. */
function changeOf(place: StepPlace): string {
  const ref = pickName(place)
  const isThere = place.refs.includes(ref)
  return isThere && place.random.below(3) === 0 ? remove(ref) : update(ref, pickObject(place, ref))
}

const printable = (commands: readonly string[]): string =>
  JSON.stringify(commands.slice(0, 12).join('').replaceAll('\0', ' ')) + (commands.length > 12 ? '…' : '')

const outcome = (what: string, { ok }: GitResult): string => (ok ? what : `${what} (failed)`)

async function transact(place: StepPlace, commands: readonly string[]): Promise<string> {
  return outcome(`update-ref ${printable(commands)}`, await updateRefs(place, commands))
}

async function command(place: StepPlace, ...args: string[]): Promise<string> {
  return outcome(`git ${args.join(' ')}`, await runGit(place.random.pick(place.repository.workplaces), args))
}

/** Each command on its own. */
const transactions = (commands: readonly string[]): string[] =>
  commands.flatMap((each) => ['start\0', each, 'commit\0'])

/** Changes of refs by Git's own commands in the repository. */
export const refSteps: readonly Step[] = [
  {
    name: 'one ref',
    weight: 10,
    run: (place) => transact(place, [changeOf(place)]),
  },
  {
    name: 'several refs',
    weight: 5,
    run: (place) => {
      const commands = Array.from({ length: 2 + place.random.below(6) }, () => changeOf(place))
      // All or none of them, or one after the other up to the first that fails.
      return transact(place, place.random.below(2) === 0 ? commands : transactions(commands))
    },
  },
  {
    name: 'neighbours',
    weight: 2,
    run: (place) => {
      const { repository, random } = place
      const all = bulkNames(repository.bulk)
      const [from, count] = [random.below(Math.max(1, all.length)), random.pick([3, 40, 200, 1100])]
      const isRemoved = random.below(3) === 0
      const refs = all.slice(from, from + count).filter((ref) => !isRemoved || place.refs.includes(ref))
      if (refs.length === 0) return Promise.resolve('no neighbours')
      const id = random.pick(repository.commits)
      return transact(
        place,
        refs.map((ref) => (isRemoved ? remove(ref) : update(ref, id))),
      )
    },
  },
  {
    name: 'directory for file and back',
    weight: 4,
    run: async (place) => {
      const { random } = place
      const ref = pickName(place)
      const below = `${ref}/${random.pick(['b', 'b/c', 'zz'])}`
      const others = place.refs.filter((other) => other.startsWith(`${ref}/`))
      const commands = place.refs.includes(ref)
        ? [remove(ref), update(below, pickObject(place, below))]
        : [...others.map(remove), update(ref, pickObject(place, ref))]
      if (commands.length > 50) return 'too many refs in a directory'
      if (random.below(2) === 0) commands.push(remove(below), update(ref, pickObject(place, ref)))
      return transact(place, transactions(commands))
    },
  },
  {
    name: 'loose over packed, then deleted',
    weight: 4,
    run: async (place) => {
      const ref = pickName(place)
      const set = (): Promise<string> => transact(place, [update(ref, pickObject(place, ref))])
      const pack = (): Promise<string> => command(place, 'pack-refs', '--all', '--no-prune')
      const parts = [set, pack, set, () => transact(place, [remove(ref)]), set, pack, set]
      const [from, to] = [place.random.below(3), 3 + place.random.below(5)]
      const done: string[] = []
      for (const part of parts.slice(from, to)) done.push(await part())
      return done.join('; ')
    },
  },
  {
    name: 'pack-refs',
    weight: 4,
    run: (place) => {
      const options = [['--all'], ['--all', '--prune'], ['--all', '--no-prune'], []]
      return command(place, 'pack-refs', ...place.random.pick(options))
    },
  },
  { name: 'gc', weight: 0.3, run: (place) => command(place, 'gc', '--quiet', '--no-prune') },
  {
    name: 'branch',
    weight: 4,
    run: (place) => {
      const branches = asArguments(place.refs).filter((ref) => ref.startsWith('refs/heads/'))
      const free = asArguments(place.names).filter((ref) => ref.startsWith('refs/heads/'))
      if (branches.length === 0) return Promise.resolve('no branch')
      const short = (ref: string): string => ref.slice('refs/heads/'.length)
      const from = short(place.random.pick(branches))
      const to = place.random.below(3) === 0 ? `${from}/x` : short(place.random.pick(free))
      return command(place, 'branch', place.random.pick(['-m', '-M', '-c', '-C']), from, to)
    },
  },
  {
    name: 'symbolic ref',
    weight: 6,
    run: (place) => {
      const names = asArguments(place.names)
      const existing = asArguments(place.refs)
      const [at, other] = [place.random.pick(names), place.random.pick(names)]
      const target = existing.length > 0 && place.random.below(2) === 0 ? place.random.pick(existing) : other
      const aliases = ['refs/heads/alias', 'refs/heads/alias2', 'refs/remotes/o/HEAD', 'refs/tags/alias', at]
      const alias = place.random.pick(aliases)
      switch (place.random.below(4)) {
        case 0:
          // A chain, or a circle.
          return command(place, 'symbolic-ref', alias, place.random.pick(aliases))
        case 1:
          return command(place, 'symbolic-ref', '-d', alias)
        default:
          return command(place, 'symbolic-ref', alias, target)
      }
    },
  },
  {
    name: 'HEAD',
    weight: 4,
    run: (place) => {
      const { random } = place
      switch (random.below(4)) {
        case 0:
          return command(place, 'update-ref', '--no-deref', 'HEAD', random.pick(place.repository.commits))
        case 1:
          return command(place, 'symbolic-ref', 'HEAD', 'refs/heads/unborn')
        case 2:
          return transact(place, [update('HEAD', random.pick(place.repository.commits))])
        default: {
          const branches = asArguments(place.refs).filter((ref) => ref.startsWith('refs/heads/'))
          return command(place, 'symbolic-ref', 'HEAD', random.pick([...branches, 'refs/heads/main']))
        }
      }
    },
  },
]
