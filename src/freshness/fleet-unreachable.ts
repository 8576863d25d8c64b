/**
 * Other nodes of the fleet may not have been told of a lease or of a change: neither the engine nor all of them could be
 * reached. A later try may succeed.
 */
export class FleetUnreachable extends Error {
  override readonly name = 'FleetUnreachable'
}
