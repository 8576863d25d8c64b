import { descriptorLimit } from '../limits/file-descriptors.js'
import { endWithOutput } from './broken-output.js'
import { tooFewDescriptors } from './file-descriptors.js'
import { leaveProcessOne } from './process-one.js'

// Read before the modules below take the last file descriptors.
const limit = descriptorLimit()

await leaveProcessOne()
endWithOutput()
try {
  // The loader opens many modules at once: a limit that is too low shows here first.
  const { run } = await import('./program.js')
  await run(process.argv)
} catch (error) {
  const line = tooFewDescriptors(error, limit)
  if (line === undefined) throw error
  process.stderr.write(`refstream: ${line}\n`)
  process.exitCode = 2
}
