import { askAdmin } from './client.js'
import { printable } from '../live/printable.js'

/** A sidecar that does not answer, or not as asked. The message is for the operator. */
export class AdminFault extends Error {
  override readonly name = 'AdminFault'
}

/** Returns what the admin API answers with 200. @throws AdminFault */
export async function read(admin: string, path: string): Promise<unknown> {
  const { status, body } = await askAdmin(admin, 'GET', path).catch((error: unknown) => {
    throw new AdminFault(`no sidecar answers at ${admin}: ${(error as Error).message}`)
  })
  if (status === 200) return body
  const { detail } = Object(body) as { detail?: unknown }
  throw new AdminFault(
    `${admin} answers with status ${status}${typeof detail === 'string' ? `: ${printable(detail)}` : ''}`,
  )
}
