import { LRUCache } from 'lru-cache'
import { withTable } from './open-table.js'
import { scanRefs } from './table-refs.js'

/** Names of symbolic refs by table, directory and name, and the version of the file: a table never changes (see `TableFile`). */
export type SymrefMemory = LRUCache<string, readonly string[]>

/** Makes a memory of about as many bytes. */
export const createSymrefMemory = (bytes: number): SymrefMemory =>
  new LRUCache({
    maxSize: bytes,
    sizeCalculation: (names, key) => names.reduce((sum, name) => sum + name.length + 32, key.length + 200),
  })

/** More names than this are never returned: so many candidates would not be asked for. */
const namesMax = 10_000

/**
 * Returns the names of all symbolic refs in tables, also of those that later tables replace or delete; bytes as Latin-1. Not
 * HEAD, nor others outside of refs/: no listing shows them. Not all if there are more than ten thousand.
 * @param tables the lines of tables.list
 * @param memory results of earlier calls, by table
 * @throws DamagedTable; the system's error, if a table is missing for example; the signal's reason
 */
export async function symrefNames(
  directory: string,
  tables: readonly string[],
  signal?: AbortSignal,
  memory?: SymrefMemory,
): Promise<readonly string[]> {
  const all = new Set<string>()
  for (const table of tables) {
    signal?.throwIfAborted()
    for (const name of await symrefsOf(directory, table, signal, memory)) {
      if (all.size < namesMax) all.add(name)
    }
  }
  return [...all]
}

const symrefsOf = (
  directory: string,
  table: string,
  signal: AbortSignal | undefined,
  memory: SymrefMemory | undefined,
): Promise<readonly string[]> =>
  withTable(directory, table, async (file) => {
    const key = `${file.version} ${directory}/${table}`
    const known = memory?.get(key)
    if (known) return known
    const names: string[] = []
    const visit = ({ type, name }: { type: string; name: Buffer }): boolean => {
      if (type === 'symref' && isInRefs(name)) names.push(name.toString('latin1'))
      return names.length < namesMax
    }
    await scanRefs(file, visit, signal)
    memory?.set(key, names)
    return names
  })

/** Is it the name of a ref that a listing may show, besides HEAD? */
export const isInRefs = (name: Buffer): boolean => name.toString('latin1', 0, 5) === 'refs/'
