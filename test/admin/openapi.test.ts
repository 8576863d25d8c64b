import t from 'tap'
import { z } from 'zod'
import type { Endpoint } from '../../src/admin/endpoint.js'
import { leaseEndpoints } from '../../src/admin/lease-api.js'
import { openApi } from '../../src/admin/openapi.js'
import { webhookEndpoints } from '../../src/admin/webhooks.js'
import { makeLeaseService } from '../support/lease-service.js'

interface Operation {
  readonly summary: string
  readonly parameters: { name: string; in: string; required: boolean }[]
  readonly requestBody?: { required: boolean; content: Record<string, { schema: object }> }
  readonly responses: Record<string, { description: string; content?: Record<string, unknown> }>
}
type Document = { openapi: string; paths: Record<string, Record<string, Operation>> }

t.test('a document of endpoints', async (t) => {
  const handle = () => ({ status: 204 })
  const endpoints: Endpoint[] = [
    {
      ...{ method: 'PUT', path: '/things/{id}/of/{owner}', summary: 'Change it.', handle },
      body: z.strictObject({
        count: z.number().default(1),
        name: z.string().meta({ description: 'Its name.' }),
      }),
      bodyOptional: true,
      answers: {
        200: { description: 'Done.', schema: z.object({ id: z.string() }) },
        404: { description: 'No.' },
      },
    },
    {
      ...{ method: 'DELETE', path: '/things/{id}/of/{owner}', summary: 'Remove it.', handle },
      answers: { 204: { description: 'Gone.' } },
    },
  ]
  const { openapi, paths } = openApi(endpoints, '1.2.3') as Document
  t.equal(openapi, '3.1.0')
  const { put, delete: remove } = paths['/things/{id}/of/{owner}']!
  t.match(put, {
    summary: 'Change it.',
    parameters: [
      { name: 'id', in: 'path', required: true },
      { name: 'owner', in: 'path', required: true },
    ],
    requestBody: {
      required: false,
      content: {
        'application/json': {
          schema: { required: ['name'], properties: { name: { description: 'Its name.' } } },
        },
      },
    },
    responses: {
      200: { description: 'Done.', content: { 'application/json': { schema: { required: ['id'] } } } },
      404: { description: 'No.', content: { 'application/problem+json': {} } },
    },
  })
  t.notOk(remove?.requestBody)
  t.same(remove?.responses, { 204: { description: 'Gone.' } })
})

t.test('the document has every operation of the API, with all its parts', async (t) => {
  const { service } = makeLeaseService(t)
  const invalidated = (): void => {}
  const endpoints = [
    ...leaseEndpoints({ leases: service, maxSeconds: 100, invalidated }),
    ...webhookEndpoints({ leases: service, secret: undefined, invalidated }),
  ]
  const document = openApi(endpoints, '1.2.3') as Document
  t.same(JSON.parse(JSON.stringify(document)), document, 'it is plain JSON')
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  )
  t.same(
    operations.map(({ name }) => name).sort(),
    endpoints.map(({ method, path }) => `${method} ${path}`).sort(),
  )
  for (const { name, operation } of operations) {
    t.match(operation.summary, /\.$/, name)
    t.ok(
      Object.keys(operation.responses).some((status) => status.startsWith('2')),
      name,
    )
    t.equal(operation.parameters.length, name.includes('{id}') ? 1 : 0)
  }
})
