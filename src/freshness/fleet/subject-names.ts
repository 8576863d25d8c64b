/** Maps the subjects of leases to names that are the same on all nodes of a fleet. */
export interface SubjectNames {
  nameOf(subject: string): string
  /** undefined: this node knows no subject of that name. */
  subjectOf(name: string): string | undefined
  /** Returns the engine's name of a repository. */
  digestOf(name: string): string
}
