/** A file is not a sound reftable, or has something in it that this version does not know. Nothing read from it counts. */
export class DamagedTable extends Error {
  override readonly name = 'DamagedTable'
}
