import { crc32, deflateSync } from 'node:zlib'

/** One record of a table to be made; names are bytes as Latin-1, object ids hexadecimal. */
export interface MadeRef {
  readonly name: string
  /** null: a deletion. */
  readonly value: { readonly id: string; readonly peeled?: string } | { readonly target: string } | null
}

export interface MadeTable {
  readonly version?: 1 | 2
  readonly hash?: 'sha1' | 's256'
  /** 0: blocks are not aligned, and there is one block per `unalignedBytes`. */
  readonly blockSize?: number
  readonly unalignedBytes?: number
  readonly restartEvery?: number
  readonly min?: number
  readonly max?: number
  /** Blocks of one level of the index up to which it has no further level; 0: no index. */
  readonly indexMax?: number
  /** Adds sections behind the refs: their content is not read. */
  readonly objects?: boolean
  readonly logs?: boolean
}

/** A number as pack files write offsets. */
export function varint(value: number): Buffer {
  const bytes = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    rest--
    bytes.unshift((rest % 128) + 128)
  }
  return Buffer.from(bytes)
}

const uint = (value: number, bytes: number): Buffer => {
  const buffer = Buffer.alloc(bytes)
  for (let at = bytes - 1; at >= 0; at--, value = Math.floor(value / 256)) buffer[at] = value % 256
  return buffer
}

interface Entry {
  readonly key: string
  readonly type: number
  readonly content: Buffer
}

const entryOf = ({ name, value }: MadeRef): Entry => {
  const delta = varint(0)
  if (value === null) return { key: name, type: 0, content: delta }
  if ('target' in value) {
    const target = Buffer.from(value.target, 'latin1')
    return { key: name, type: 3, content: Buffer.concat([delta, varint(target.length), target]) }
  }
  const ids = Buffer.from(value.id + (value.peeled ?? ''), 'hex')
  return { key: name, type: value.peeled === undefined ? 1 : 2, content: Buffer.concat([delta, ids]) }
}

/** Writes tables after Git's documentation (technical/reftable), sharing no code with what reads them. */
class TableWriter {
  readonly options: Required<MadeTable>
  readonly parts: Buffer[] = []
  size = 0
  readonly header: Buffer
  #padding = 0

  constructor(options: MadeTable) {
    const { hash = 'sha1' } = options
    const { version = hash === 'sha1' ? 1 : 2, min = 1 } = options
    this.options = {
      ...{
        version,
        hash,
        min,
        blockSize: 4096,
        unalignedBytes: 1024,
        restartEvery: 16,
        max: min,
        indexMax: 3,
      },
      ...{ objects: false, logs: false, ...options },
    }
    const { blockSize, max } = this.options
    this.header = Buffer.concat([
      ...[Buffer.from('REFT'), uint(version, 1), uint(blockSize, 3), uint(min, 8), uint(max, 8)],
      ...(version === 2 ? [Buffer.from(hash)] : []),
    ])
  }

  /** Writes blocks of one type. @returns an entry for each, as the index has it */
  blocks(type: string, entries: readonly Entry[]): Entry[] {
    const index: Entry[] = []
    for (let from = 0; from < entries.length;) {
      const { bytes, count } = this.#block(type, entries.slice(from, from + 5000))
      from += count
      this.pad()
      index.push({ key: entries[from - 1]!.key, type: 0, content: varint(this.size) })
      this.write(bytes)
      const { blockSize } = this.options
      this.#padding = blockSize > 0 ? blockSize - bytes.length : 0
    }
    return index
  }

  #block(type: string, entries: readonly Entry[]): { bytes: Buffer; count: number } {
    const { blockSize, unalignedBytes, restartEvery } = this.options
    const start = this.size === 0 ? this.header : Buffer.alloc(0)
    const parts: Buffer[] = []
    const restarts: Buffer[] = []
    let length = start.length + 4
    let count = 0
    for (const { key, type: valueType, content } of entries) {
      const last = entries[count - 1]?.key ?? ''
      let prefix = 0
      if (count % restartEvery !== 0) while (prefix < last.length && last[prefix] === key[prefix]) prefix++
      const suffix = Buffer.from(key.slice(prefix), 'latin1')
      const record = Buffer.concat([varint(prefix), varint(suffix.length * 8 + valueType), suffix, content])
      const isRestart = prefix === 0
      const whole = length + record.length + 3 * (restarts.length + (isRestart ? 1 : 0)) + 2
      // A block of an index has two entries at least, or else levels would not become smaller.
      const least = type === 'i' && blockSize === 0 ? 2 : 1
      if (count >= least && whole > (blockSize || unalignedBytes)) break
      if (blockSize > 0 && whole > blockSize) throw new Error(`${key} does not fit into a block`)
      if (isRestart) restarts.push(uint(length, 3))
      parts.push(record)
      length += record.length
      count++
    }
    const end = [...restarts, uint(restarts.length, 2)]
    const size = length + 3 * restarts.length + 2
    return { bytes: Buffer.concat([start, Buffer.from(type), uint(size, 3), ...parts, ...end]), count }
  }

  pad(): void {
    this.write(Buffer.alloc(this.#padding))
    this.#padding = 0
  }

  write(bytes: Buffer): void {
    this.parts.push(bytes)
    this.size += bytes.length
  }
}

/** Returns the bytes of a table. */
export function makeTable(refs: readonly MadeRef[], options: MadeTable = {}): Buffer {
  const writer = new TableWriter(options)
  const { indexMax, objects, logs, min } = writer.options
  const positions = [0, 0, 0, 0, 0]
  let index = writer.blocks('r', refs.map(entryOf))
  for (let levels = 0; indexMax > 0 && index.length > indexMax; levels++) {
    writer.pad()
    positions[0] = writer.size
    index = writer.blocks('i', index)
  }
  if (objects) {
    writer.pad()
    positions[1] = writer.size * 32 + 2
    writer.blocks('o', [{ key: 'ab', type: 1, content: varint(0) }])
  }
  if (writer.size === 0) writer.write(writer.header)
  if (logs) {
    writer.pad()
    positions[3] = refs.length > 0 ? writer.size : 0
    const content = deflateSync(Buffer.from(`refs/heads/main${min}`))
    writer.write(Buffer.concat([Buffer.from('g'), uint(100, 3), content]))
  }
  const footer = Buffer.concat([writer.header, ...positions.map((position) => uint(position, 8))])
  return Buffer.concat([...writer.parts, footer, uint(crc32(footer), 4)])
}
