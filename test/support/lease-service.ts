import type { Test } from 'tap'
import { realpathSync } from 'node:fs'
import { Leases } from '../../src/freshness/leases/leases.js'
import { Modes } from '../../src/origin/disk/observation/modes.js'
import { Observer } from '../../src/origin/disk/observation/observer.js'
import { RepositoriesRoot } from '../../src/git/state/repositories-root.js'
import { DiskSubjects } from '../../src/origin/disk/disk-subjects.js'
import { LeaseService } from '../../src/service/lease-service.js'
import { tempDir } from './temp-dir.js'

export interface TestLeases {
  readonly root: string
  readonly leases: Leases
  readonly service: LeaseService
}

/** Makes a lease service over an empty root. */
export function makeLeaseService(t: Test, mode: 'observe' | 'lease' = 'observe'): TestLeases {
  const root = realpathSync(tempDir(t))
  const leases = new Leases()
  t.teardown(() => leases.close())
  const scopes = { files: [], home: undefined, variables: [] }
  const modes = new Modes({
    rules: [
      { glob: '**', mode },
      { glob: '/**', mode },
    ],
  })
  const repositories = new RepositoriesRoot(root)
  const observer = new Observer({
    root: repositories,
    settings: Promise.resolve({ root: repositories, scopes, programs: [], environmentDigest: '' }),
    leases,
    modes,
    directoriesMax: Infinity,
    looseRefsMax: 0,
    linksAnywhere: true,
    unleasedMaxAgeMs: 1000,
  })
  return {
    root,
    leases,
    service: new LeaseService({ leases, subjects: new DiskSubjects({ root: repositories, observer }) }),
  }
}
