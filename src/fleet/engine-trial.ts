import { systemClock, type Clock } from '../limits/clock.js'
import type { FleetEngine } from './engine.js'

/** Milliseconds in which an engine that was opened must have answered, and between two questions to it. */
const trialMs = 2000
const retryMs = 50

/**
 * Returns an engine once it has answered: clients connect in the background, and one that cannot be reached would else count
 * as there until its first operations fail. Closes one that does not answer.
 * @throws why the last question failed
 */
export async function tryOut(engine: FleetEngine, clock: Clock = systemClock): Promise<FleetEngine> {
  const until = clock.now() + trialMs
  let isOver = false
  let error: unknown = new Error(`the engine has not answered within ${trialMs} ms`)
  const ask = async (): Promise<boolean> => {
    while (!isOver && clock.now() < until) {
      try {
        await engine.epochs(['trial'])
        return true
      } catch (failed) {
        error = failed
        await new Promise<void>((resolve) => void clock.after(retryMs, resolve))
      }
    }
    return false
  }
  let cancel = (): void => {}
  const late = new Promise<boolean>((resolve) => (cancel = clock.after(trialMs, () => resolve(false))))
  const isThere = await Promise.race([ask(), late])
  isOver = true
  cancel()
  if (isThere) return engine
  await engine.close().catch(() => {})
  throw error
}
