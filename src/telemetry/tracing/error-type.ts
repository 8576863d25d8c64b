/** Returns the type of an error as spans have it: its code or its name, and none of its words, which may quote a secret. */
export function errorTypeOf(error: unknown): string {
  const { code, name } = error instanceof Error ? (error as NodeJS.ErrnoException) : {}
  return typeof code === 'string' ? code : (name ?? '_OTHER')
}
