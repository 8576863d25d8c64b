import type { UntypedServiceImplementation } from '@grpc/grpc-js'
import { protocolVersion } from '../../git/protocol/version.js'
import { serviceHeader } from '../../git/process/upload-pack.js'
import { answerBy } from '../call.js'
import type { DataMessage } from '../proto/data-message.js'
import { sendAdvertisement, type GrpcRefServiceOptions } from './ref-service.js'
import { repositoryPath } from './requests.js'
import { RpcError } from '../status.js'

interface InfoRefsRequest {
  readonly repository: {
    readonly storageName: string
    readonly relativePath: string
    readonly gitObjectDirectory: string
    readonly gitAlternateObjectDirectories: readonly string[]
  } | null
  readonly gitConfigOptions: readonly string[]
  readonly gitProtocol: string
}

export interface SmartHttpOptions extends GrpcRefServiceOptions {
  /** Gitaly's storages by name: directories relative to the root; empty: the root itself. */
  readonly storages: ReadonlyMap<string, string>
}

/** Serves gitaly.SmartHTTPService, which Gitaly's clients call for an advertisement. */
export function smartHttpService(options: SmartHttpOptions): UntypedServiceImplementation {
  const { origin, storages } = options
  return {
    InfoRefsUploadPack: answerBy<InfoRefsRequest, DataMessage>(options, 'advertisement', async (call) => {
      const { repository, gitConfigOptions, gitProtocol } = call.request
      if (!repository) throw new RpcError('invalid', 'repository is missing')
      const path = repositoryIn(storages, repository.storageName, repository.relativePath)
      const version = protocolVersion(gitProtocol)
      const asked = {
        version,
        overrides: {
          configOptions: gitConfigOptions,
          objectDirectory: repository.gitObjectDirectory,
          alternateObjectDirectories: repository.gitAlternateObjectDirectories,
        },
        // Git leaves it out in version 2; Gitaly never does.
        ahead: version === 2 ? serviceHeader : [],
      }
      await call.run(path, (target) => sendAdvertisement(call, origin, target, asked))
    }),
  }
}

function repositoryIn(storages: ReadonlyMap<string, string>, name: string, relativePath: string): string {
  const storage = storages.get(name)
  if (storage === undefined) {
    // A status is sent in a header block, whose size HTTP/2's clients limit.
    const shown = JSON.stringify(name.slice(0, 100))
    throw new RpcError('invalid', `there is no storage ${shown}; see --gitaly-storages`)
  }
  const path = repositoryPath(relativePath)
  return storage === '' ? path : `${storage}/${path}`
}
