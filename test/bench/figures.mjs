/**
 * JSON text of a run's figures in which each row of a table and each series of a picture is one line, so that a run of
 * thousands of samples stays a file of a hundred lines.
 */
export const figuresJson = (figures) => `${format(figures, '')}\n`

const isNested = (value) => typeof value === 'object' && value !== null
const isRecord = (value) => isNested(value) && !Array.isArray(value)

function format(value, indent) {
  const isTable = Array.isArray(value) && value.some(isRecord)
  const isBranch = isRecord(value) && Object.values(value).some(isNested)
  if (!isTable && !isBranch) return JSON.stringify(value)
  const deeper = `${indent} `
  const lines = isTable
    ? value.map((row) => JSON.stringify(row))
    : Object.entries(value)
        .filter(([, child]) => child !== undefined)
        .map(([key, child]) => `${JSON.stringify(key)}: ${format(child, deeper)}`)
  const [open, close] = isTable ? '[]' : '{}'
  return `${open}\n${lines.map((line) => deeper + line).join(',\n')}\n${indent}${close}`
}
