/** The smoke set: the tests that say whether a version of Node will do, in less than a minute. */
export const smokeSet = ['test/cli/serve.test.ts', 'test/streamcache/cache.test.ts']
