import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runGit } from './model-repository.js'
import { asArguments, pickObject, type Step, type StepPlace } from './step.js'

/** Writes a file as Git does: whole, and then renamed into place. */
export async function replaceFile(path: string, content: string | Buffer): Promise<void> {
  await writeFile(`${path}.replacement`, content)
  await rename(`${path}.replacement`, path)
}

/** Runs one Git command, and says whether it failed. */
async function command(cwd: string, ...args: string[]): Promise<string> {
  const { ok } = await runGit(cwd, args)
  return `git ${args.join(' ')}${ok ? '' : ' (failed)'}`
}

/** Pushes some refs from the clone. */
function push(place: StepPlace, to: string, by: string): Promise<string> {
  const { random, repository } = place
  const candidates = asArguments([...place.names, ...place.refs.slice(0, 200)])
  const refs = new Set(Array.from({ length: 1 + random.below(3) }, () => random.pick(candidates)))
  const specs = [...refs].map((ref) => {
    const isGone = place.refs.includes(ref) && random.below(3) === 0
    return isGone ? `:${ref}` : `${pickObject(place, ref)}:${ref}`
  })
  return command(repository.clone, 'push', '--quiet', '--force', to, ...specs).then((done) =>
    `${by}: ${done}`.replace(to, '…'),
  )
}

/** Changes that come from elsewhere, and those of what else decides the answers. */
export const otherSteps: readonly Step[] = [
  {
    name: 'push through the sidecar',
    weight: 2,
    run: (place) => push(place, place.url, 'through the sidecar'),
  },
  {
    name: 'push beside the sidecar',
    weight: 1,
    run: (place) => push(place, place.repository.directory, 'beside the sidecar'),
  },
  {
    name: 'fetch',
    weight: 1,
    run: async (place) => {
      const { clone, directory, commits } = place.repository
      const ref = `refs/heads/${place.random.pick(['one', 'two', 'three'])}`
      await command(
        clone,
        'update-ref',
        ...place.random.pick([
          [ref, place.random.pick(commits)],
          ['-d', ref],
        ]),
      )
      return command(directory, 'fetch', '--quiet', '--prune', clone, '+refs/heads/*:refs/mirror/*')
    },
  },
  {
    name: 'configuration',
    weight: 4,
    run: (place) => {
      const { random } = place
      const set = (...args: string[]): Promise<string> =>
        command(place.repository.directory, 'config', ...args)
      const hidden = [
        'refs/pull',
        'refs/hidden',
        '!refs/pull/1',
        'refs/tags/v1',
        'refs/heads/a',
        '^refs/heads',
      ]
      switch (random.below(7)) {
        case 0:
          return set('--add', random.pick(['transfer.hideRefs', 'uploadpack.hideRefs']), random.pick(hidden))
        case 1:
        case 2:
          return set('--unset-all', random.pick(['transfer.hideRefs', 'uploadpack.hideRefs']))
        case 3:
          return set('lsrefs.unborn', random.pick(['advertise', 'allow', 'ignore']))
        case 4:
          return set('uploadpack.allowFilter', random.pick(['true', 'false']))
        case 5:
          return set('core.logAllRefUpdates', random.pick(['true', 'false', 'always']))
        default:
          return set('core.compression', String(random.below(9)))
      }
    },
  },
  {
    name: 'shallow',
    weight: 1,
    run: async ({ repository, random }) => {
      const path = join(repository.directory, 'shallow')
      const count = random.below(3)
      const ids = repository.commits.slice(0, count).map((id) => `${id}\n`)
      if (count === 0) await rm(path, { force: true })
      else await replaceFile(path, ids.join(''))
      return `shallow: ${count} commits`
    },
  },
]

/**
 * The missing object appears, or goes away again. Git leaves out refs to objects that are not there, and does not peel tags of
 * them. That is noticed when all refs are listed again: after a change of the configuration.
 */
export const objectSteps: readonly Step[] = [
  {
    name: 'missing object',
    weight: 4,
    run: async (place) => {
      const { directory, missing } = place.repository
      const path = join(directory, 'objects', missing.id.slice(0, 2), missing.id.slice(2))
      const isThere = await readFile(path).then(
        () => true,
        () => false,
      )
      if (isThere) await rm(path, { force: true })
      else
        await runGit(directory, ['hash-object', '-w', '-t', 'commit', '--stdin'], { input: missing.content })
      await runGit(directory, ['config', 'refstream.objects', String(place.random.below(1_000_000))])
      return `the missing object ${isThere ? 'goes away' : 'appears'}, and the configuration changes`
    },
  },
]
