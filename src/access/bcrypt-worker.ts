import { compareSync } from 'bcryptjs'
import { parentPort } from 'node:worker_threads'

/** Compares passwords with their hashes on a thread of its own: each takes milliseconds up to a second. */
parentPort!.on('message', ({ password, hash }: { password: string; hash: string }) => {
  parentPort!.postMessage(compareSync(password, hash))
})
