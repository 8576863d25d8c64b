import t from 'tap'
import { repositoryEndpoints } from '../../../src/admin/status/repository-api.js'
import type { UpstreamStat } from '../../../src/origin/upstream/refs/kept-answers.js'
import type { RepositoryStat } from '../../../src/service/cache-inspector.js'
import { RepositoryNotFound } from '../../../src/origin/faults/errors.js'
import { serveEndpoints } from '../../support/admin.js'

const stat: RepositoryStat = {
  ...{ repository: 'group/r.git', exported: true, decision: { mode: 'observe', reason: 'local' } },
  ...{ settled: true, leasesOpen: 0, entries: [], packs: 0, packBytes: 0 },
  prospects: [{ kind: 'advertisement v2', prospect: 'nothing-kept' }],
}

const far: UpstreamStat = {
  ...{ name: 'far:443', maxAgeMs: 5000, leasesOpen: 0, count: 1 },
  entries: [{ kind: 'listing', view: 'shared', bytes: 9, ageMs: 1500, prospect: 'hit' }],
}

t.test('a repository is looked at by its encoded path', async (t) => {
  const { call } = await serveEndpoints(
    t,
    repositoryEndpoints({
      inspector: {
        stat: (path) =>
          path === 'group/r.git' ? Promise.resolve(stat) : Promise.reject(new RepositoryNotFound(path)),
      },
      upstreamOf: (path) => (path.startsWith('far/') ? far : undefined),
    }),
  )
  const get = async (path: string) => call('GET', `/v1/repositories/${path}`)
  const here = await get('group%2Fr.git')
  t.equal(here.status, 200)
  t.match(here.body, { path: 'group/r.git', disk: { mode: 'observe', reason: 'local', settled: true } })
  t.same((await get('far%2Fx')).body, {
    path: 'far/x',
    upstream: {
      ...{ name: 'far:443', maxAgeSeconds: 5, leasesOpen: 0, entryCount: 1 },
      entries: [{ kind: 'listing', view: 'shared', bytes: 9, ageSeconds: 1.5, prospect: 'hit' }],
    },
  })
  t.equal((await get('missing')).status, 404)
  t.equal((await get('%ff')).status, 400)
  t.equal((await get('x'.repeat(9999))).status, 400)
})
