import { descriptorLimit } from '../limits/file-descriptors.js'
import { endWithOutput } from './broken-output.js'
import { tooFewDescriptors } from './file-descriptors.js'
import { leaveProcessOne } from './process-one.js'

// Asked as long as there is a descriptor to ask with.
const limit = descriptorLimit()

await leaveProcessOne()
endWithOutput()
try {
  // The program's modules are opened all at once: that is what a small limit shows at first.
  const { run } = await import('./program.js')
  await run(process.argv)
} catch (error) {
  const line = tooFewDescriptors(error, limit)
  if (line === undefined) throw error
  process.stderr.write(`refstream: ${line}\n`)
  process.exitCode = 2
}
