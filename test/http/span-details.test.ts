import t from 'tap'
import { errorTypeOf, routeOf, spanNameOf } from '../../src/http/span-details.js'

t.test('names of spans have few values', async (t) => {
  t.equal(spanNameOf('GET', routeOf('advertisement')), 'GET /{repository}/info/refs')
  t.equal(spanNameOf('POST', routeOf('ls-refs')), 'POST /{repository}/git-upload-pack')
  t.equal(spanNameOf('GET', routeOf('other')), 'GET')
  t.equal(spanNameOf('X-ANY-1', undefined), 'HTTP')
})

t.test('only what the server has done wrong is a failure', async (t) => {
  for (const status of [200, 304, 401, 404, 429, 499, undefined])
    t.equal(errorTypeOf(status, false), undefined)
  t.equal(errorTypeOf(503, false), '503')
  t.equal(errorTypeOf(200, true), 'broken_off')
})
