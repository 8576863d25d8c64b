import * as z from 'zod'
import type { StatusSource } from '../../status/source.js'
import type { Endpoint } from '../endpoint.js'
import { Listeners } from './listeners.js'
import { statusSchema } from './status-schema.js'

/** Most listeners at once, and milliseconds between two events. */
const listenersMax = 16
const eventMs = 1000

/** Returns the operations that show what refstream does. */
export function statusEndpoints(source: Pick<StatusSource, 'status'>): Endpoint[] {
  const listeners = new Listeners({
    max: listenersMax,
    everyMs: eventMs,
    tick: async (streams) => {
      const data = JSON.stringify(await source.status())
      for (const stream of streams) stream.send('status', data)
    },
  })
  return [
    {
      method: 'GET',
      path: '/v1/status',
      summary:
        'Show what refstream does now and has done lately: fills, queues, leases, failures, top keys, what is kept, upstreams, fleet.',
      answers: { 200: { description: 'The status; with workers, of all of them.', schema: statusSchema } },
      handle: async () => ({ status: 200, body: await source.status() }),
    },
    {
      method: 'GET',
      path: '/v1/events',
      summary:
        'Follow the status: server-sent events named "status", one a second, each with what /v1/status shows. A listener that reads too slowly is dropped; a stream ends after ten minutes.',
      answers: {
        200: { description: 'The events.', schema: z.string(), type: 'text/event-stream' },
        503: { description: `${listenersMax} listeners are there already.` },
      },
      handle: () => listeners.reply(),
    },
  ]
}
