const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** Writes a number of bytes for people, such as `1.5 MiB`. */
export function bytesText(value: number): string {
  let unit = 0
  for (; value >= 1024 && unit < byteUnits.length - 1; unit++) value /= 1024
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${byteUnits[unit]}`
}

/** Writes seconds for people: the largest unit alone, such as `3 h`. */
export function secondsText(value: number): string {
  if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)} s`
  if (value < 3600) return `${Math.floor(value / 60)} min`
  return value < 172_800 ? `${Math.floor(value / 3600)} h` : `${Math.floor(value / 86_400)} d`
}
