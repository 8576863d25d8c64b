/** Returns a number of bytes with a unit, for people. */
export function size(bytes: number): string {
  const unit = [
    [1024 ** 3, 'GiB'],
    [1024 ** 2, 'MiB'],
    [1024, 'KiB'],
  ] as const
  const [factor, name] = unit.find(([factor]) => bytes >= factor) ?? [1, 'bytes']
  return `${Number((bytes / factor).toFixed(1))} ${name}`
}
