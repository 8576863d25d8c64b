import { compareSync } from 'bcryptjs'
import { parentPort } from 'node:worker_threads'

// In a worker thread, since a comparison blocks its thread for milliseconds up to a second.
parentPort!.on('message', ({ password, hash }: { password: string; hash: string }) => {
  parentPort!.postMessage(compareSync(password, hash))
})
