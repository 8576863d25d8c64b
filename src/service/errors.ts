/** There is no such repository under the root, or it is not exported. Doors answer as Git does: 404, nothing more. */
export class RepositoryNotFound extends Error {
  override readonly name = 'RepositoryNotFound'
}

/** The repository's configuration does not offer this service. Doors answer as Git does: 403, nothing more. */
export class ServiceDisabled extends Error {
  override readonly name = 'ServiceDisabled'
}
