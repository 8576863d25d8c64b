import { setTimeout as sleep } from 'node:timers/promises'

/** Polls until a condition holds for which there is no event (a file, another process). @throws after 20 s */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`never came true: ${what}`)
    await sleep(5)
  }
}
