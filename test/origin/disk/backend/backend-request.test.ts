import t from 'tap'
import { backendRequest } from '../../../../src/origin/disk/backend/backend-request.js'
import type { PassThroughRequest } from '../../../../src/origin/pass-through.js'
import { passThroughRequestOf } from '../../../support/pass-through-request.js'

const told = (given: Partial<PassThroughRequest>) => backendRequest(passThroughRequestOf(given), false)

t.test('http-backend is told what has the form that its name requires, and nothing else', async (t) => {
  const known = {
    ...{ method: 'POST', resource: '/git-upload-pack', service: undefined },
    ...{ contentType: 'application/x-git-upload-pack-request', contentLength: '10', contentEncoding: 'gzip' },
    ...{ gitProtocol: 'version=2', remoteUser: 'me', remoteAddress: '192.0.2.1' },
  }
  t.same(told(known), { ...known, exportAll: false })
  t.equal(backendRequest(passThroughRequestOf(), true).exportAll, true)
  for (const contentType of ['a\u00e9', 'a\nb', '', 'a'.repeat(257)]) {
    t.equal(told({ contentType }).contentType, undefined)
  }
  t.equal(told({ contentEncoding: 'x-gzip' }).contentEncoding, 'x-gzip')
  t.equal(told({ contentEncoding: 'br' }).contentEncoding, undefined)
})

t.test('only services and methods that Git knows reach it', async (t) => {
  const advertised = (service?: string) => told({ resource: '/info/refs', service }).service
  t.equal(advertised('git-receive-pack'), 'git-receive-pack')
  t.equal(advertised('git-upload-archive'), 'git-upload-archive')
  t.equal(advertised(), undefined)
  t.throws(() => advertised('git-x'), { name: 'ServiceDisabled' })
  t.throws(() => advertised(''), { name: 'ServiceDisabled' })
  t.throws(() => told({ method: 'PUT' }), { name: 'RepositoryNotFound' })
  t.throws(() => told({ resource: '' }), { name: 'RepositoryNotFound' })
})
