/**
 * What a helper process runs: answers questions about repositories on mounts that may hang. If one does, this process
 * hangs, and no other; its parent ends it.
 */
import { MountTable } from '../git/mounts.js'
import { RemotePath } from '../git/path-guard.js'
import { RepositoriesRoot } from '../git/repositories-root.js'
import { Disk, type GitFacts } from './disk.js'
import { machineMs, questions, type Answered, type Asked, type HelperStart } from './disk-messages.js'
import { Modes } from './modes.js'

// Its parent is told to end, and tells it.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
process.on('disconnect', () => process.exit())

process.once('message', ({ config, allowed }: HelperStart) => {
  const mounts = new MountTable()
  const guard = () => mounts.guard(allowed)
  const modes = new Modes({ rules: config.rules, mounts })
  const disk = new Disk({ ...config, root: new RepositoriesRoot(config.root, guard), guard })
  const ask = (question: Asked['question'], args: readonly unknown[]): unknown => {
    if (!questions.includes(question)) throw new Error(`unknown question: ${question}`)
    if (question === 'look') return disk.look(args[0] as string, args[1] as GitFacts, modes)
    return (disk[question] as (...args: readonly unknown[]) => unknown)(...args)
  }
  process.on('message', ({ id, question, args, untilMs }: Asked) => {
    const answered = machineMs() < untilMs ? answer(id, () => ask(question, args)) : { id, late: true }
    // It fails if the parent has gone; then this process is about to.
    void Promise.resolve(answered).then((message) => process.send!(message, undefined, undefined, () => {}))
  })
})

async function answer(id: number, ask: () => unknown): Promise<Answered> {
  try {
    return { id, answer: await ask() }
  } catch (error) {
    return error instanceof RemotePath ? { id, remote: error.mount } : { id, error }
  }
}
