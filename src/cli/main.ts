#!/usr/bin/env node
import { endWithOutput } from './broken-output.js'
import { run } from './program.js'

endWithOutput()
await run(process.argv)
