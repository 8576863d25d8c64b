import t from 'tap'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { networkFilesystem } from '../../../src/git/filesystem/network-filesystem.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('a local filesystem and an unknown one have no network name', async (t) => {
  const directory = tempDir(t)
  t.equal(networkFilesystem(directory), undefined)
  t.equal(networkFilesystem(join(directory, 'nothing')), undefined)
  t.equal(networkFilesystem('/proc/nothing/here'), undefined)
})

/** Mount points with their type in /proc/self/mounts, and our name for it. */
const names: Record<string, string> = { nfs: 'nfs', nfs4: 'nfs', '9p': '9p', ceph: 'ceph', smb3: 'smb2' }

const mounts = existsSync('/proc/self/mounts') ? readFileSync('/proc/self/mounts', 'utf8').split('\n') : []
const network = mounts.flatMap((line) => {
  const [, path = '', type = ''] = line.split(' ')
  const name = type.startsWith('fuse') && type !== 'fusectl' ? 'fuse' : names[type]
  return name === undefined || path.includes('\\') ? [] : [{ path, name }]
})

t.test('a network filesystem is named', { skip: network.length === 0 }, async (t) => {
  for (const { path, name } of network) t.equal(networkFilesystem(path), name, path)
})
