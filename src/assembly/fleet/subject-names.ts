import { join } from 'node:path'
import type { SubjectNames } from '../../freshness/fleet/subject-names.js'
import { pathWithin } from '../../git/filesystem/path-within.js'
import type { RepositoriesRoot } from '../../git/state/repositories-root.js'

const onDisk = 'root:'

/**
 * Names the subjects of leases so that all nodes know them: a repository here by its path below the root, which may be
 * elsewhere on another node; one of an upstream by its subject, which is the same everywhere.
 */
export function subjectNames(
  root: RepositoriesRoot | undefined,
  digestOf: (name: string) => string,
): SubjectNames {
  return {
    digestOf,
    nameOf: (subject) => {
      const path = root && pathWithin(root.latest ?? root.path, subject)
      return path === undefined ? subject : onDisk + path
    },
    subjectOf: (name) => {
      if (!name.startsWith(onDisk)) return name
      return root && join(root.latest ?? root.path, name.slice(onDisk.length))
    },
  }
}
