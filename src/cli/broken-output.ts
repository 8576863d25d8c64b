/**
 * Lets a command end quietly when what reads its output has gone, as in `refstream doctor | head -1`, with the exit code
 * that it has so far. Where its output cannot be written for another reason, it says so and ends with 1. A message on
 * standard error that nobody can read changes nothing.
 */
export function endWithOutput(): void {
  process.stderr.on('error', () => {})
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit()
    process.stderr.write(`refstream: standard output: ${error.message}\n`)
    process.exit(1)
  })
}
