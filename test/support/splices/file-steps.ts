import { mkdir, open, readFile, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pickName, pickObject, type Step, type StepPlace } from './step.js'

/** Returns the path of a file of the repository, in bytes. */
const pathOf = (place: StepPlace, file: string): Buffer =>
  Buffer.concat([Buffer.from(`${place.repository.directory}/`), Buffer.from(file, 'latin1')])

const isFile = (path: Buffer): Promise<boolean> =>
  stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  )

/** Writes a loose ref as Git does; its directory may be a file, or it a directory: then nothing is written. */
async function writeLoose(place: StepPlace, ref: string, content: string): Promise<string> {
  const path = pathOf(place, ref)
  const lock = pathOf(place, `${ref}.lock`)
  try {
    await mkdir(pathOf(place, dirname(ref)), { recursive: true })
    await writeFile(lock, `${content}\n`, 'latin1')
    await rename(lock, path)
    return ''
  } catch {
    await rm(lock as unknown as string, { force: true }).catch(() => {})
    return ' (failed)'
  }
}

/** Names of files that Git lists as broken refs, with zeros for an object id. */
const impossibleNames: readonly string[] = [
  ...['refs/heads/with space', 'refs/heads/a b', 'refs/heads/a ', 'refs/heads/p..q', 'refs/tags/v1\t'],
  ...[
    'refs/tags/new\nline',
    'refs/with space',
    'refs/heads/main~1',
    'refs/heads/x\x7f',
    'refs/heads/\xff \xff',
  ],
  ...['refs/pull/1 2/head', 'refs/heads/dir/ '],
]

/** Names in packed-refs that are no names of refs, or not below refs/. */
const oddPackedNames: readonly string[] = [
  ...['FETCH_HEAD', 'HEAD', 'ZZ_HEAD', 'refs/heads/p..q', 'refs/heads/with space', 'refs/tags/v1~'],
]

/** Changes of a repository's files by programs that do not use Git. */
export const fileSteps: readonly Step[] = [
  {
    name: 'overwritten in place',
    weight: 4,
    run: async (place) => {
      const ref = pickName(place)
      const path = pathOf(place, ref)
      if (!(await isFile(path))) return `${JSON.stringify(ref)} is not loose`
      const before = await readFile(path, 'latin1')
      if (before.startsWith('ref:')) return `${JSON.stringify(ref)} is symbolic`
      const file = await open(path, 'r+')
      await file.write(`${pickObject(place, ref)}\n`)
      await file.close()
      return `${JSON.stringify(ref)} is overwritten in place`
    },
  },
  {
    name: 'odd loose file',
    weight: 4,
    run: async (place) => {
      const { random, repository } = place
      const ref = random.pick(place.names)
      const odd = {
        'not an object id': 'x',
        nothing: '',
        'a missing object': repository.missing.id,
        zeros: '0'.repeat(repository.missing.id.length),
        'a symbolic ref': `ref: ${pickName(place)}`,
        'a symbolic ref to a missing ref': 'ref: refs/heads/missing',
        'a symbolic ref out of refs/': 'ref: HEAD',
        'an id with a space behind it': `${random.pick(repository.commits)} `,
      }
      const what = random.pick(Object.keys(odd)) as keyof typeof odd
      const failed = await writeLoose(place, ref, odd[what])
      return `${JSON.stringify(ref)} is ${what}${failed}`
    },
  },
  {
    name: 'loose file removed',
    weight: 3,
    run: async (place) => {
      const ref = pickName(place)
      if (!(await isFile(pathOf(place, ref)))) return `${JSON.stringify(ref)} is not loose`
      await rm(pathOf(place, ref))
      return `the file ${JSON.stringify(ref)} is removed`
    },
  },
  {
    name: 'lock files and other files',
    weight: 3,
    run: async (place) => {
      const { random } = place
      const file = random.pick([
        ...[
          `${pickName(place)}.lock`,
          'packed-refs.lock',
          'HEAD.lock',
          'refs/heads/odd..name',
          'refs/heads/-',
        ],
        ...['refs/heads/.hidden', 'refs/heads/empty/dir', ...impossibleNames],
      ])
      const path = pathOf(place, file)
      const isThere = await stat(path).then(
        () => true,
        () => false,
      )
      if (isThere) await rm(path, { recursive: true, force: true })
      else if (file.endsWith('/dir')) await mkdir(path, { recursive: true })
      else await writeFile(path, `${random.pick(place.repository.commits)}\n`).catch(() => {})
      return `${JSON.stringify(file)} ${isThere ? 'goes away' : 'lies around'}`
    },
  },
  {
    name: 'lock files removed',
    weight: 3,
    run: async (place) => {
      for (const file of ['packed-refs.lock', 'HEAD.lock', ...place.names.map((name) => `${name}.lock`)])
        await rm(pathOf(place, file) as unknown as string, { force: true }).catch(() => {})
      return 'all lock files go away'
    },
  },
  {
    name: 'link',
    weight: 1,
    run: async (place) => {
      const path = pathOf(place, 'refs/heads/link')
      const isThere = await readlink(path).then(
        () => true,
        () => false,
      )
      if (isThere) await rm(path)
      else await symlink(place.random.pick(['refs/heads/main', 'main', 'nothing']), path).catch(() => {})
      return `the link refs/heads/link ${isThere ? 'goes away' : 'appears'}`
    },
  },
  {
    name: 'packed-refs rewritten',
    weight: 4,
    run: async (place) => {
      const { random } = place
      const path = pathOf(place, 'packed-refs')
      const before = await readFile(path, 'latin1').catch(() => undefined)
      if (before === undefined) return 'no packed-refs'
      const lines = before.split('\n').filter(Boolean)
      const header = lines.filter((line) => line.startsWith('#'))
      // A ref and the line of its peeled object (^) stay together.
      const refs = lines
        .filter((line) => !line.startsWith('#'))
        .join('\n')
        .split(/\n(?!\^)/)
        .filter(Boolean)
      // Git cannot read an empty line.
      const fileOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')
      const without = random.below(Math.max(1, refs.length))
      const [one, moved] = [random.pick(place.repository.commits), refs[random.below(refs.length || 1)] ?? '']
      const id = /^[0-9a-f]+/.exec(moved)?.[0] ?? ''
      const nameOf = (line: string): string => line.slice(id.length + 1).split('\n')[0]!
      const odd = random.pick(oddPackedNames)
      const isThere = refs.some((line) => nameOf(line) === odd)
      const lesser = refs.filter((line) => nameOf(line) < odd)
      const greater = refs.filter((line) => nameOf(line) > odd)
      const changes = {
        'with the same bytes': before,
        'without a header': fileOf(refs),
        'in another order, without a header': fileOf([...refs].reverse()),
        'without a ref': fileOf([...header, ...refs.filter((_, index) => index !== without)]),
        // Nothing but an object id differs: the file has the same size.
        'with another id':
          moved.includes('^') || !moved.includes('refs/heads/')
            ? before
            : before.replace(moved, one + moved.slice(id.length)),
        [`${isThere ? 'without' : 'with'} ${JSON.stringify(odd)}`]: fileOf([
          ...[...header, ...lesser],
          ...(isThere ? [] : [`${one} ${odd}`]),
          ...greater,
        ]),
      }
      const how = random.pick(Object.keys(changes))
      if (random.below(2) === 0) {
        await writeFile(path, changes[how]!, 'latin1')
        return `packed-refs is overwritten in place ${how}`
      }
      await writeFile(pathOf(place, 'packed-refs.new'), changes[how]!, 'latin1')
      await rename(pathOf(place, 'packed-refs.new'), path)
      return `packed-refs is replaced ${how}`
    },
  },
  {
    name: 'loose file renamed',
    weight: 1,
    run: async (place) => {
      const [from, to] = [pickName(place), place.random.pick(place.names)]
      if (!(await isFile(pathOf(place, from)))) return `${JSON.stringify(from)} is not loose`
      await mkdir(pathOf(place, dirname(to)), { recursive: true }).catch(() => {})
      const failed = await rename(pathOf(place, from), pathOf(place, to)).then(
        () => '',
        () => ' (failed)',
      )
      return `the file ${JSON.stringify(from)} is renamed to ${JSON.stringify(to)}${failed}`
    },
  },
]
