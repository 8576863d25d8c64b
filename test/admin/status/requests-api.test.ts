import t from 'tap'
import { requestsEndpoints } from '../../../src/admin/status/requests-api.js'
import type { RequestsQuestion } from '../../../src/status/source.js'
import { serveEndpoints } from '../../support/admin.js'

t.test('questions are passed on, and what is wrong with one is said', async (t) => {
  const asked: RequestsQuestion[] = []
  const endpoints = requestsEndpoints({
    requests: (question) => {
      asked.push(question)
      return Promise.resolve({ requests: [], dropped: 3, next: { 1: 5, 2: 7 } })
    },
  })
  const { call } = await serveEndpoints(t, endpoints)
  const first = await call('GET', '/v1/requests')
  t.match(first, { status: 200, body: { requests: [], dropped: 3, next: '1:5,2:7' } })
  await call('GET', '/v1/requests?from=1:5,2:7&repository=a/**&outcome=hit,error')
  await call('GET', '/v1/requests?from=')
  t.strictSame(asked, [
    { from: undefined, repository: undefined, outcomes: undefined },
    { from: { 1: 5, 2: 7 }, repository: 'a/**', outcomes: ['hit', 'error'] },
    { from: {}, repository: undefined, outcomes: undefined },
  ])
  for (const from of ['x', '1', '1:', '1:-1', '1:5,', '__proto__:1'])
    t.match(await call('GET', `/v1/requests?from=${from}`), { status: 400 }, from)
  t.match(await call('GET', `/v1/requests?repository=${'*a'.repeat(300)}`), {
    status: 400,
    body: { detail: /more than 512 characters/ },
  })
  t.match(await call('GET', '/v1/requests?repository=[b-a]'), {
    status: 400,
    body: { detail: /^repository: .*ends before it begins/ },
  })
})
