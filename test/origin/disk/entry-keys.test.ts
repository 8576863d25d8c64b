import t from 'tap'
import type { FreshCache } from '../../../src/freshness/fresh-cache.js'
import { forgetRepository, keyOf, keysOf } from '../../../src/origin/disk/entry-keys.js'

t.test('every entry of a repository has one key of its own', async (t) => {
  const made = [
    ...['v0', 'v1', 'v2'].map((version) => keyOf('advertisement', version, '/root/r.git')),
    ...['sha1', 'sha256'].map((format) => keyOf('listing', format, '/root/r.git')),
  ]
  t.same(keysOf('/root/r.git'), made)
  t.equal(new Set([...made, ...keysOf('/root/r2.git')]).size, 2 * made.length)
})

t.test('a repository is forgotten under every key', async (t) => {
  const forgotten: string[] = []
  const cache = { forget: (key: string) => void forgotten.push(key) } as unknown as FreshCache
  forgetRepository(cache, '/root/r.git')
  t.same(forgotten, keysOf('/root/r.git'))
})
