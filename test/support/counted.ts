import type { Counter } from 'prom-client'

/** Returns the series of a counter that have counted something: some exist from zero on. */
export async function counted<Label extends string>(counter: Counter<Label>) {
  const { values } = await counter.get()
  return values.filter(({ value }) => value > 0)
}
