import t from 'tap'
import type {
  ObjectsObservation,
  Observation,
  Observer,
} from '../../../src/origin/disk/observation/observer.js'
import type { ServingConfig } from '../../../src/git/process/serving-config.js'
import { identityOf, type Repository } from '../../../src/git/state/repository.js'
import { ServedRepositories } from '../../../src/origin/disk/served-repositories.js'
import type { ServingConfigs } from '../../../src/origin/disk/serving-configs.js'
import type { Target } from '../../../src/origin/target.js'
import type { UnservedNotices } from '../../../src/origin/disk/unserved-notices.js'

const repository = (gitName: string): Repository => ({
  ...{ gitDir: `/root/${gitName}`, commonDir: `/root/${gitName}`, gitName, commonName: gitName },
  ...{ linkedNames: [], gitIdentity: gitName, commonIdentity: gitName },
})
const serving: ServingConfig = { uploadPack: true, shared: true, objectFormat: 'sha1', digest: '' }

function open(exportAll = false) {
  const notices: string[] = []
  /** `open.git` is exported, `closed.git` is not, and there are no others. */
  const found = (path: string) =>
    path === 'none.git' ? undefined : { repository: repository(path), exported: path === 'open.git' }
  const observer = {
    observe: async (path: string) => found(path) as Observation | undefined,
    observeObjects: async (path: string) => found(path) as ObjectsObservation | undefined,
  } as unknown as Observer
  let config: ServingConfig | Promise<ServingConfig> = serving
  const served = new ServedRepositories({
    exportAll,
    observer,
    servingConfigs: { of: () => config } as unknown as ServingConfigs,
    notices: {
      tell: (name: string, why: string) => void notices.push(`${name} ${why}`),
      served: (name: string) => void notices.push(`${name} is served`),
    } as unknown as UnservedNotices,
  })
  return { served, notices, configure: (to: typeof config) => void (config = to) }
}

t.test('an exported repository is observed, for its refs and for its packs', async (t) => {
  const { served, notices } = open()
  const target = { path: 'open.git', identity: identityOf(repository('open.git')) }
  t.match(await served.observe(target), { repository: { gitName: 'open.git' } })
  t.match(await served.observeObjects(target), { repository: { gitName: 'open.git' } })
  t.same(notices, ['open.git is served', 'open.git is served'])
})

t.test('a repository that is not exported is not found, which is noted', async (t) => {
  const { served, notices } = open()
  const error = { name: 'RepositoryNotFound', message: 'closed.git' }
  await t.rejects(served.observe({ path: 'closed.git' }), error)
  await t.rejects(served.observeObjects({ path: 'closed.git' }), error)
  t.same(notices, ['closed.git not-exported', 'closed.git not-exported'])
})

t.test('if all are exported, it is served', async (t) => {
  const { served, notices } = open(true)
  t.match(await served.observe({ path: 'closed.git' }), { exported: false })
  t.match(await served.observeObjects({ path: 'closed.git' }), { exported: false })
  t.same(notices, ['closed.git is served', 'closed.git is served'])
})

t.test(
  'a repository that is missing, or is not the one that access was checked for, is no notice',
  async (t) => {
    const { served, notices } = open()
    const none: Target = { path: 'none.git' }
    const other: Target = { path: 'open.git', identity: 'another' }
    await t.rejects(served.observe(none), { name: 'RepositoryNotFound' })
    await t.rejects(served.observeObjects(none), { name: 'RepositoryNotFound' })
    await t.rejects(served.observe(other), { name: 'RepositoryExchanged' })
    await t.rejects(served.observeObjects(other), { name: 'RepositoryExchanged' })
    t.same(notices, [])
  },
)

t.test('a repository in which http.uploadpack is off is disabled, known at once or later', async (t) => {
  const { served, configure } = open()
  const observed = await served.observe({ path: 'open.git' })
  t.equal(served.servingConfig(observed), serving, 'without a promise, where it is known')
  configure(Promise.resolve(serving))
  t.equal(await served.servingConfig(observed), serving)
  const off = { ...serving, uploadPack: false }
  const error = { name: 'ServiceDisabled', message: 'http.uploadpack is off' }
  configure(off)
  t.throws(() => served.servingConfig(observed), error)
  configure(Promise.resolve(off))
  await t.rejects(Promise.resolve(served.servingConfig(observed)), error)
  configure(Promise.reject(new Error('Git failed')))
  await t.rejects(Promise.resolve(served.servingConfig(observed)), { message: 'Git failed' })
})
