/** The part of an OpenAPI schema that is checked here. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly format?: string
  readonly enum?: readonly unknown[]
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly 'x-kubernetes-int-or-string'?: boolean
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean
}

export interface Schemas {
  readonly definitions: Readonly<Record<string, Schema>>
  readonly kinds: Readonly<Record<string, Schema>>
}

/** Returns what a server that validates strictly would refuse: unknown and missing fields, other types and words. */
export function shapeMistakes(object: { apiVersion: string; kind: string }, schemas: Schemas): string[] {
  const kind = `${object.apiVersion}/${object.kind}`
  const schema = schemas.kinds[kind]
  return schema === undefined ? [`there is no kind ${kind}`] : [...mistakes(object, schema, kind, schemas)]
}

function* mistakes(value: unknown, given: Schema, place: string, schemas: Schemas): Generator<string> {
  const schema = given.$ref ? schemas.definitions[given.$ref.replace('#/definitions/', '')]! : given
  if (schema['x-kubernetes-int-or-string'] || schema.format === 'int-or-string') {
    if (typeof value !== 'string' && !Number.isInteger(value)) yield `${place}: neither a number nor a string`
    return
  }
  if (schema.enum && !schema.enum.includes(value)) yield `${place}: ${String(value)} is not allowed`
  if (!hasType(value, schema.type)) yield `${place}: not of type ${schema.type}`
  else if (Array.isArray(value)) {
    for (const [index, item] of value.entries())
      if (schema.items) yield* mistakes(item, schema.items, `${place}[${index}]`, schemas)
  } else if (typeof value === 'object' && value !== null) {
    for (const name of schema.required ?? []) if (!(name in value)) yield `${place}: ${name} is missing`
    for (const [name, item] of Object.entries(value)) {
      const below = schema.properties?.[name] ?? schema.additionalProperties
      if (typeof below === 'object') yield* mistakes(item, below, `${place}.${name}`, schemas)
      else if (isClosed(schema)) yield `${place}: there is no field ${name}`
    }
  }
}

/** A type without properties, such as a quantity or an object's metadata in a custom resource, takes all. */
const isClosed = (schema: Schema): boolean =>
  schema.properties !== undefined && !schema['x-kubernetes-preserve-unknown-fields']

function hasType(value: unknown, type: string | undefined): boolean {
  if (type === undefined) return true
  if (type === 'array') return Array.isArray(value)
  if (type === 'integer') return Number.isInteger(value)
  return type === typeof value
}
