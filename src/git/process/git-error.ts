/** Git could not be started, or ended otherwise than by an accepted exit code. */
export class GitError extends Error {
  override readonly name: string = 'GitError'
}
