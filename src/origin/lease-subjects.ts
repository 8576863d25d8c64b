/** The names by which repositories are known to leases and invalidations. */
export interface LeaseSubjects {
  /**
   * Returns the subject of the repository that mutators call so: by its path in URLs, or the disk's by an absolute path.
   * undefined: there is none.
   * @throws FilesystemUnanswered, or rejects with it
   */
  find(name: string): string | undefined | Promise<string | undefined>
  /** Returns the name of a subject that is shown to clients: relative to the root, or to the upstream's URL. */
  nameOf(subject: string): string
}

/** Returns the subjects of repositories that two origins have: the first that knows a repository names it. */
export const eitherSubjects = (first: LeaseSubjects, second: LeaseSubjects): LeaseSubjects => ({
  find: (name) => {
    const found = first.find(name)
    if (found instanceof Promise) return found.then((subject) => subject ?? second.find(name))
    return found ?? second.find(name)
  },
  nameOf: (subject) => (/^https?:/.test(subject) ? second : first).nameOf(subject),
})
