/** Sequences of xterm's: see console_codes(4). */
const codes = {
  enter: '\x1b[?1049h\x1b[?25l',
  leave: '\x1b[?25h\x1b[?1049l',
  top: '\x1b[H',
  endOfLine: '\x1b[K',
  endOfScreen: '\x1b[J',
  bold: '\x1b[1m',
  plain: '\x1b[22m',
} as const

/** What Ctrl-C sends in raw mode. */
const ctrlC = 3

/** The terminal while one page is shown on it. What stood there is back when it is closed. */
export class Screen {
  /** Resolves when a key or a signal ends it. */
  readonly ended: Promise<void>
  #isOver = false
  #lines: readonly string[] = []
  readonly #end: () => void
  readonly #redraw = (): void => this.#draw()
  readonly #key = (keys: Buffer): void => {
    if (keys.toString() === 'q' || keys.includes(ctrlC)) this.#end()
  }

  constructor() {
    let resolve = (): void => {}
    this.ended = new Promise((call) => (resolve = call))
    this.#end = () => {
      this.#isOver = true
      resolve()
    }
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(true)
      process.stdin.on('data', this.#key)
    }
    process.stdout.on('resize', this.#redraw)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, this.#end)
    process.stdout.write(codes.enter)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Shows the lines that there is room for, cut at the right. They have no control characters. */
  show(lines: readonly string[]): void {
    this.#lines = lines
    this.#draw()
  }

  #draw(): void {
    if (this.#isOver) return
    const { columns, rows } = process.stdout
    const [first = '', ...rest] = this.#lines
      .slice(0, rows)
      .map((line) => Array.from(line).slice(0, columns).join('') + codes.endOfLine)
    const text = [codes.bold + first + codes.plain, ...rest].join('\n')
    process.stdout.write(codes.top + text + codes.endOfScreen)
  }

  close(): void {
    this.#end()
    process.stdout.off('resize', this.#redraw)
    process.stdout.write(codes.leave)
    if (!process.stdin.isTTY) return
    process.stdin.setRawMode(false)
    process.stdin.off('data', this.#key)
    process.stdin.pause()
  }
}
