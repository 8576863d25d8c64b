import { readdirSync } from 'node:fs'
import { Look, type LookMemory } from './look.js'
import { enterRepo } from './repository.js'

/** Paths, relative to the root, of all repositories below it. Directories inside of repositories are not searched. */
export function* findRepositories(root: string, memory: LookMemory, path = ''): Generator<string> {
  const repository = enterRepo(new Look(memory), root, path)
  // `x` means x.git too: only what lies at the path itself counts here.
  const here = path === '' ? root : `${root}/${path}`
  if (repository && (repository.gitDir === here || repository.gitDir === `${here}/.git`)) {
    yield path
    return
  }
  for (const entry of list(here)) {
    if (entry.isDirectory())
      yield* findRepositories(root, memory, path === '' ? entry.name : `${path}/${entry.name}`)
  }
}

function list(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    return []
  }
}
