/**
 * Checks what readers saw of registers that change while they read. Each register has one writer, which never writes a
 * value twice; times come from one clock.
 */
export interface Write {
  readonly register: string
  readonly value: string | undefined
  readonly start: number
  readonly end: number
}

export interface Read {
  readonly start: number
  readonly end: number
  /** undefined: the register was absent. */
  readonly values: ReadonlyMap<string, string>
}

/** Every violation in words; none if the history is linearizable register by register. */
export function violations(writes: readonly Write[], reads: readonly Read[]): string[] {
  const found: string[] = []
  const registers = new Map<string, Write[]>()
  for (const write of writes) {
    registers.set(write.register, [...(registers.get(write.register) ?? []), write])
  }
  for (const [register, versions] of registers) {
    const seen = reads.map((read) => ({ read, version: versionOf(versions, read.values.get(register)) }))
    for (const { read, version } of seen) {
      const write = versions[version]
      const next = versions[version + 1]
      if (!write) found.push(`${register}: a value that nobody wrote: ${read.values.get(register)}`)
      else if (write.start > read.end)
        found.push(`${register}: version ${version} was read before it was written`)
      else if (next && next.end < read.start) {
        const late = (read.start - next.end).toFixed(1)
        found.push(
          `${register}: stale: version ${version}, ${late} ms after version ${version + 1} was in place`,
        )
      }
    }
    found.push(...reversals(register, seen))
  }
  return found
}

const versionOf = (versions: readonly Write[], value: string | undefined): number =>
  versions.findIndex((write) => write.value === value)

/** No read may see an older version than a read that had ended before it began. */
function reversals(register: string, seen: { read: Read; version: number }[]): string[] {
  const found: string[] = []
  const byEnd = [...seen].sort((a, b) => a.read.end - b.read.end)
  const byStart = [...seen].sort((a, b) => a.read.start - b.read.start)
  let newest = -1
  let ended = 0
  for (const { read, version } of byStart) {
    for (let one = byEnd[ended]; one && one.read.end < read.start; one = byEnd[++ended]) {
      newest = Math.max(newest, one.version)
    }
    if (version < newest) found.push(`${register}: went back from version ${newest} to ${version}`)
  }
  return found
}
