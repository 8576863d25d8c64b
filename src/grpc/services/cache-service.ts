import type { UntypedServiceImplementation } from '@grpc/grpc-js'
import { RepositoryNotFound } from '../../origin/faults/errors.js'
import type { CacheInspector } from '../../service/cache-inspector.js'
import type { LeaseService } from '../../service/lease-service.js'
import type { AuditOptions } from '../audit.js'
import { replyBy } from '../admin-call.js'
import type { CallOptions } from '../call.js'
import { mutatorPath, repositoryPath } from './requests.js'

interface RepositoryRequest {
  readonly repository: string
}

export interface CacheServiceOptions extends Pick<CallOptions, 'authorize'>, AuditOptions {
  readonly leases: LeaseService
  /** undefined: there are no repositories here to look at. */
  readonly inspector: CacheInspector | undefined
  readonly invalidated: (source: string) => void
}

/** Serves refstream.v1.CacheService. */
export function cacheService(options: CacheServiceOptions): UntypedServiceImplementation {
  const { leases, inspector, invalidated, authorize } = options
  return {
    Invalidate: replyBy<RepositoryRequest, object>(
      options,
      async (call) => {
        const repository = mutatorPath(call.request.repository)
        await authorize(call, { repository, service: 'admin' })
        await leases.invalidate(repository)
        invalidated('grpc')
        return {}
      },
      ({ repository }) => ({ event: 'refstream.invalidate', repository }),
    ),
    Stat: replyBy<RepositoryRequest, object>(options, async (call) => {
      const repository = repositoryPath(call.request.repository)
      await authorize(call, { repository, service: 'admin' })
      if (!inspector) throw new RepositoryNotFound(repository)
      const { decision, ...stat } = await inspector.stat(repository)
      return { ...stat, mode: decision.mode, modeReason: decision.reason }
    }),
  }
}
