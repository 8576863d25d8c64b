import * as z from 'zod'
import type { Option } from './option.js'

/** Returns the values that a setting can have if it is one of some words; undefined: it can have others. */
export function choicesOf({ schema }: Option): readonly string[] | undefined {
  let inner: unknown = schema
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional) {
    inner = inner.unwrap()
  }
  if (inner instanceof z.ZodPipe) inner = inner.in
  return inner instanceof z.ZodEnum ? inner.options.map(String) : undefined
}
