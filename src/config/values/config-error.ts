/** Settings that cannot be used. The message has one line for each mistake; commands print it and exit with 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly mistakes: readonly string[]

  constructor(mistakes: string | readonly string[], options?: ErrorOptions) {
    const list = typeof mistakes === 'string' ? [mistakes] : mistakes
    super(list.join('\n'), options)
    this.mistakes = list
  }
}
