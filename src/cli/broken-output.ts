/**
 * Ends a command silently when the reader of its output has gone, as in `refstream doctor | head -1`, with its exit code so
 * far. Other errors of its output are reported, and end it with 1. Errors of standard error are ignored.
 */
export function endWithOutput(): void {
  process.stderr.on('error', () => {})
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit()
    process.stderr.write(`refstream: standard output: ${error.message}\n`)
    process.exit(1)
  })
}
