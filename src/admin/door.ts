import { createServer, type Server, type ServerResponse } from 'node:http'
import type { Metrics } from '../telemetry/metrics.js'

export interface AdminOptions {
  readonly metrics: Metrics
  /** Should load balancers send requests? */
  readonly ready: () => boolean
}

/** The admin door: what operators and their monitors ask. */
export function createAdminDoor({ metrics, ready }: AdminOptions): Server {
  return createServer((request, response) => {
    const path = request.url?.split('?', 1)[0]
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      text(response, 405, 'use GET')
    } else if (path === '/healthz') text(response, 200, 'ok')
    else if (path === '/readyz') text(response, ready() ? 200 : 503, ready() ? 'ready' : 'shutting down')
    else if (path === '/metrics') void scrape(response, metrics)
    else text(response, 404, 'there are /metrics, /healthz and /readyz')
  })
}

async function scrape(response: ServerResponse, { registry }: Metrics): Promise<void> {
  try {
    const body = await registry.metrics()
    response.writeHead(200, { 'Content-Type': registry.contentType })
    response.end(body)
  } catch {
    text(response, 500, 'the metrics could not be read')
  }
}

function text(response: ServerResponse, status: number, line: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' })
  response.end(`${line}\n`)
}
