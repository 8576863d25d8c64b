import { endWithOutput } from './broken-output.js'
import { leaveProcessOne } from './process-one.js'
import { run } from './program.js'

await leaveProcessOne()
endWithOutput()
await run(process.argv)
