/** Time as limits see it, so that tests can bring their own. */
export interface Clock {
  /** Milliseconds since some moment; never goes back. */
  now(): number
  /** Calls once, that many milliseconds from now, unless the function that it returns was called before. */
  after(ms: number, call: () => void): () => void
}

/** The real time. Its timers do not keep a program alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms).unref()
    return () => clearTimeout(timer)
  },
}
