import t from 'tap'
import { defaultCacheDir } from '../../../src/config/values/cache-dir.js'

t.test('each root, and each set of upstreams, has its own directory', async (t) => {
  const environment = { XDG_CACHE_HOME: '/x', HOME: '/home/a' }
  const one = { glob: undefined, url: 'https://one.example' }
  const two = { glob: 'a/**', url: 'https://two.example' }
  const directories = ['/srv/git', '/srv', [one], [two, one], [{ ...two, glob: 'b' }, one]].map((origin) =>
    defaultCacheDir(origin, environment),
  )
  t.equal(new Set(directories).size, directories.length)
  for (const directory of directories) t.match(directory, /^\/x\/refstream\/[\da-f]{16}$/)
  t.equal(defaultCacheDir([{ ...one }], environment), directories[2], 'the same at the next start')
})

t.test('it is below the user’s cache directory, or the temporary one', async (t) => {
  t.match(defaultCacheDir('/r', { HOME: '/home/a' }), /^\/home\/a\/\.cache\/refstream\//)
  t.match(defaultCacheDir('/r', {}), /\/refstream-\d+\/[\da-f]{16}$/)
})
