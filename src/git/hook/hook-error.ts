/** The hook cannot be installed, inspected or removed; the message says why and what to do. */
export class HookError extends Error {
  override readonly name = 'HookError'
}
