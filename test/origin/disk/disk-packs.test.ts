import t from 'tap'
import { Git } from '../../../src/git/process/git.js'
import { DiskPacks } from '../../../src/origin/disk/disk-packs.js'
import type { PackNames, PackState as NamedState } from '../../../src/origin/disk/pack-names.js'
import type { ServedRepositories } from '../../../src/origin/disk/served-repositories.js'
import type { PackState } from '../../../src/origin/packs/pack-source.js'
import { parsed, v2 } from '../../support/fetch-requests.js'
import { repositoryAt } from '../../support/found-repository.js'
import { objectsOf } from '../../support/pack-observations.js'
import { git, gitEnvironment, makeRepository } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

type Seen = { name: string; unsettledMs: number; objectFormat: string; mentioned: Set<string> | undefined }

/** Opens the packs of a repository of which this is observed. */
function open(root: string, changes: Partial<Seen> = {}) {
  const path = makeRepository(root, 'r.git')
  const repository = repositoryAt(path)
  const seen: Seen = { name: 'name', unsettledMs: 0, objectFormat: 'sha1', mentioned: new Set(), ...changes }
  /** The tags that each question for the state was given. */
  const tags: (string | undefined)[] = []
  const observed = objectsOf(repository)
  const packs = new DiskPacks({
    git: new Git({ path: 'git', environment: gitEnvironment }),
    served: {
      observeObjects: async () => ({
        ...observed,
        config: { ...observed.config, mentioned: seen.mentioned },
      }),
      servingConfig: () => ({ uploadPack: true, shared: true, objectFormat: seen.objectFormat }),
    } as unknown as ServedRepositories,
    names: {
      stateOf: async (_target: unknown, _asked: unknown, _observed: unknown, known?: string) => {
        tags.push(known)
        const { name, unsettledMs } = seen
        return { name, unsettledMs, tags: 'tags', maxAgeMs: 1000 } satisfies NamedState
      },
    } as unknown as PackNames,
  })
  const asked = parsed(v2(['object-format=sha1'], [`want ${git(path, 'rev-parse', 'main')}`, 'done']))
  return { packs, seen, tags, asked, repository }
}

t.test('a fetch passes through if another format is asked for, or a hook may make its pack', async (t) => {
  const target = { path: 'r.git' }
  const hook = new Set(['uploadpack.packobjectshook'])
  for (const [changes, reason] of [
    [{ objectFormat: 'sha256' }, 'format'],
    [{ mentioned: hook }, 'hook'],
    [{ mentioned: undefined }, 'hook'],
  ] as const) {
    const { packs, asked } = open(tempDir(t), changes)
    t.equal(await packs.stateOf(target, asked), reason)
  }
})

t.test(
  'the name holds if it is the same afterwards, and settled; tags are not looked at again',
  async (t) => {
    const { packs, seen, tags, asked, repository } = open(tempDir(t))
    const state = (await packs.stateOf({ path: 'r.git' }, asked)) as PackState
    t.same(
      [state.repository, state.name, state.unsettledMs, state.maxAgeMs],
      [repository.commonDir, 'name', 0, 1000],
    )
    t.equal(await state.holds(), true)
    seen.unsettledMs = 5
    t.equal(await state.holds(), false)
    Object.assign(seen, { unsettledMs: 0, name: 'another' })
    t.equal(await state.holds(), false)
    t.same(tags, [undefined, 'tags', 'tags', 'tags'])
  },
)

t.test('a pack is made by Git in the repository that was observed', async (t) => {
  const { packs, asked } = open(tempDir(t))
  const state = (await packs.stateOf({ path: 'r.git' }, asked)) as PackState
  const ended: boolean[] = []
  const { signal } = new AbortController()
  const chunks: Buffer[] = []
  const run = {
    signal,
    admitted: true,
    ended: (sound: boolean) => void ended.push(sound),
    finished: () => {},
  }
  for await (const chunk of state.make(run)) chunks.push(chunk)
  t.match(Buffer.concat(chunks).toString('latin1'), /^000dpackfile\n[^]*0000$/)
  t.same(ended, [true])
})
