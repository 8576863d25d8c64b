/** The client library, which is an optional peer dependency: only fleets on Redis need it. */
export type RedisPackage = typeof import('@redis/client')

/** The client library is not installed. */
export class RedisPackageMissing extends Error {
  override readonly name = 'RedisPackageMissing'
  constructor(options?: ErrorOptions) {
    super(
      'a fleet on Redis needs the package @redis/client, which is not installed: run `npm install @redis/client@6` where refstream is installed',
      options,
    )
  }
}

/** Loads the client library. @throws RedisPackageMissing */
export async function loadRedisPackage(
  load: () => Promise<RedisPackage> = () => import('@redis/client'),
): Promise<RedisPackage> {
  try {
    return await load()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND')
      throw new RedisPackageMissing({ cause: error })
    throw error
  }
}
