import type { Server } from 'node:http'
import { Connection } from '../../src/http/connection.js'
import { FairShares } from '../../src/limits/admission/shares.js'

/** Has the connections of a server carry exchanges that the test makes. */
export function carryExchanges(server: Server): Server {
  const pipelined = new FairShares(1, 1)
  return server.on('connection', (socket) => {
    new Connection(socket, { answer: () => {}, dropped: () => {}, cut: () => {}, pipelined })
  })
}
