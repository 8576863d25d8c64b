import { BlockRecords } from './block-records.js'
import { DamagedTable } from './damaged-table.js'
import type { TableLayout } from './table-layout.js'

/** What a record says about a ref. All views are valid until the next record is read. */
export interface RefRecord {
  readonly name: Buffer
  readonly type: 'deletion' | 'id' | 'peeled-id' | 'symref'
  /** Of types `id` and `peeled-id`, in hexadecimal. */
  readonly objectId: string
  /** Of type `peeled-id`: what the tag points to in the end, in hexadecimal. Else undefined. */
  readonly peeled: string | undefined
  /** Of type `symref`: the ref that it points to. */
  readonly target: Buffer
}

const types = ['deletion', 'id', 'peeled-id', 'symref'] as const
const nothing: Buffer = Buffer.alloc(0)

/** The records of a table's ref blocks. One object stands for each of them in turn: a table may have a million. */
export class RefRecords implements RefRecord {
  type: RefRecord['type'] = 'deletion'
  #ids: Buffer = nothing
  target: Buffer = nothing
  readonly #records = new BlockRecords()
  readonly #hashBytes: number
  readonly #deltaMax: number

  constructor({ hashBytes, minUpdateIndex, maxUpdateIndex }: TableLayout) {
    this.#hashBytes = hashBytes
    this.#deltaMax = Number(maxUpdateIndex - minUpdateIndex)
  }

  get name(): Buffer {
    return this.#records.name
  }

  get objectId(): string {
    return this.#ids.toString('hex', 0, this.#hashBytes)
  }

  get peeled(): string | undefined {
    return this.#ids.length > this.#hashBytes ? this.#ids.toString('hex', this.#hashBytes) : undefined
  }

  /** Bytes of the current block up to the end of the current record. */
  get offset(): number {
    return this.#records.offset
  }

  /** Begins with a block, see `BlockRecords.open`. @throws DamagedTable */
  open(bytes: Buffer, headerBytes: number): void {
    this.#records.open(bytes, headerBytes)
  }

  /** Reads the next record; false: the block has ended. @throws DamagedTable */
  next(): boolean {
    const number = this.#records.next()
    if (number < 0) return false
    const type = types[number]
    if (type === undefined) throw new DamagedTable(`a ref has a value of unknown type ${number}`)
    if (this.#records.varint() > this.#deltaMax) throw new DamagedTable('a ref is newer than its table')
    this.type = type
    const ids = type === 'id' ? 1 : type === 'peeled-id' ? 2 : 0
    this.#ids = ids > 0 ? this.#records.take(ids * this.#hashBytes) : nothing
    this.target = type === 'symref' ? this.#records.take(this.#records.varint()) : nothing
    return true
  }
}
