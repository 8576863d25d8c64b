import { repositoryOfLease, type Hint } from '../../engine.js'

/** The parts of what is stored about one fill. */
export interface FillKeys {
  readonly prefix: string
  readonly lease: string
  readonly entry: string
  readonly failure: string
}

/** Keys whose numbers of writes are a repository's counts. */
export interface CountKeys {
  readonly prefix: string
  readonly openings: string
  readonly ends: string
  readonly changes: string
}

/** The names of all that a fleet stores in etcd. They begin with the fleet's name and a slash. */
export class EtcdKeys {
  readonly all: string
  readonly incarnation: string
  readonly members: string
  /** Mutator leases of all repositories. */
  readonly leases: string

  constructor(fleet: string) {
    this.all = `${fleet}/`
    this.incarnation = `${fleet}/incarnation`
    this.members = `${fleet}/member/`
    this.leases = `${fleet}/lease/`
  }

  fill(repository: string, key: string): FillKeys {
    const prefix = `${this.all}fill/${repository}/${key}/`
    return { prefix, lease: `${prefix}lease`, entry: `${prefix}entry`, failure: `${prefix}failure` }
  }

  counts(repository: string): CountKeys {
    const prefix = `${this.all}repository/${repository}/`
    return { prefix, openings: `${prefix}openings`, ends: `${prefix}ends`, changes: `${prefix}changes` }
  }

  member(node: string): string {
    return this.members + node
  }

  /** @param id of a mutator lease, which begins with its repository and a dot */
  lease(id: string): string {
    return this.leases + id
  }

  leasesOf(repository: string): string {
    return `${this.leases}${repository}.`
  }

  /** Does the time limit of a key's record begin when it was written? */
  hasTimeLimit(key: string): boolean {
    return key.startsWith(this.members) || /\/fill\/.*\/(?:lease|failure)$/.test(key)
  }

  /** Returns what a change of a key means to those who wait. */
  hintOf(key: string): Hint | undefined {
    const [room, first = '', second] = key.slice(this.all.length).split('/')
    switch (room) {
      case 'fill':
        return second === undefined ? undefined : { kind: 'key', repository: first, key: second }
      case 'repository':
        return { kind: 'epoch', repository: first }
      case 'lease': {
        const repository = repositoryOfLease(first)
        return repository === undefined ? undefined : { kind: 'epoch', repository }
      }
      default:
        return undefined
    }
  }
}
