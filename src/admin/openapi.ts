import * as z from 'zod'
import type { Endpoint } from './endpoint.js'

const problem = z.object({ title: z.string(), status: z.number(), detail: z.string() })

const json = (schema: z.ZodType, type = 'application/json') => ({
  [type]: { schema: z.toJSONSchema(schema, { io: 'input' }) },
})

/** Returns the OpenAPI 3.1 document of the endpoints. */
export function openApi(endpoints: readonly Endpoint[], version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const endpoint of endpoints) {
    const operations = (paths[endpoint.path] ??= {})
    operations[endpoint.method.toLowerCase()] = operation(endpoint)
  }
  return { openapi: '3.1.0', info: { title: 'refstream admin API', version }, paths }
}

function operation({ path, summary, query = {}, body, bodyOptional, answers }: Endpoint): object {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
  const responses = Object.entries(answers).map(([status, { description, schema, type }]) => {
    const content =
      Number(status) >= 400 ? json(problem, 'application/problem+json') : schema && json(schema, type)
    return [status, { description, ...(content ? { content } : {}) }]
  })
  return {
    summary,
    parameters: [
      ...names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
      ...Object.entries(query).map(([name, description]) => ({
        ...{ name, in: 'query', required: false, description, schema: { type: 'string' } },
      })),
    ],
    ...(body ? { requestBody: { required: !bodyOptional, content: json(body) } } : {}),
    responses: Object.fromEntries(responses) as object,
  }
}
