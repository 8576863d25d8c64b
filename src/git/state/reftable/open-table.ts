import { DamagedTable } from './damaged-table.js'
import { TableFile } from './table-file.js'

/**
 * Opens a table of a stack, calls a function with it and closes it.
 * @param name a line of tables.list, which must be the name of a file in the directory
 * @throws DamagedTable, which names the table; the system's error; what the function throws
 */
export async function withTable<T>(
  directory: string,
  name: string,
  use: (file: TableFile) => Promise<T>,
): Promise<T> {
  try {
    if (!isFileName(name)) throw new DamagedTable('not the name of a file')
    const file = await TableFile.open(`${directory}/${name}`)
    try {
      return await use(file)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (!(error instanceof DamagedTable)) throw error
    throw new DamagedTable(`reftable ${JSON.stringify(name)}: ${error.message}`)
  }
}

const isFileName = (name: string): boolean =>
  name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)
