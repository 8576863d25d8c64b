import type { BackendRequest } from '../../../git/process/http-backend.js'
import { RepositoryNotFound, ServiceDisabled } from '../../faults/errors.js'
import type { PassThroughRequest } from '../../pass-through.js'

const methods: ReadonlySet<string> = new Set<BackendRequest['method']>(['GET', 'HEAD', 'POST'])

/** The services that http-backend.c knows (rpc_service). */
const services: ReadonlySet<string> = new Set(['git-upload-pack', 'git-receive-pack', 'git-upload-archive'])

/**
 * Returns the parameters of a request for http-backend, which become environment variables. None is passed on unchecked:
 * each value is one of a known set, or has the form that its name requires (R8).
 * @throws ServiceDisabled for a service that Git does not know (http-backend.c, select_service); RepositoryNotFound for what
 * Git's protocol does not have
 */
export function backendRequest(
  {
    method,
    resource,
    service,
    contentType,
    contentLength,
    contentEncoding,
    gitProtocol,
    remoteUser,
    remoteAddress,
  }: PassThroughRequest,
  exportAll: boolean,
): BackendRequest {
  if (!isMethod(method) || resource === '') throw new RepositoryNotFound('Git serves no such request')
  if (service !== undefined && !services.has(service)) throw new ServiceDisabled()
  return {
    method,
    resource,
    service,
    contentType: visible(contentType),
    // Absent for a chunked body: http-backend then reads until end of file.
    contentLength,
    contentEncoding: contentEncoding === 'gzip' || contentEncoding === 'x-gzip' ? contentEncoding : undefined,
    gitProtocol,
    remoteUser,
    remoteAddress,
    exportAll,
  }
}

const isMethod = (method: string): method is BackendRequest['method'] => methods.has(method)

const visible = (value: string | undefined): string | undefined =>
  value !== undefined && /^[\x20-\x7e]{1,256}$/.test(value) ? value : undefined

/** Returns whether a request is a push, or the question that comes before one. */
export const isForPush = ({ resource, service }: PassThroughRequest): boolean =>
  service === 'git-receive-pack' || resource === '/git-receive-pack'
