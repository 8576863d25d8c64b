import t from 'tap'
import { gitProtocol, protocolVersion } from '../../../src/git/protocol/version.js'

t.test('the highest known version of a Git-Protocol header is used', async (t) => {
  const versions: [string | undefined, 0 | 1 | 2][] = [
    [undefined, 0],
    ['', 0],
    ['version=0', 0],
    ['version=1', 1],
    ['version=2', 2],
    ['version=2:version=1', 2],
    ['version=1:version=2', 2],
    ['object-format=sha256:version=2', 2],
    ['version=1:key=value:flag', 1],
    ['version=3', 0],
    ['version=3:version=1', 1],
    ['version=22', 0],
    ['version=2 ', 0],
    ['VERSION=2', 0],
    ['xversion=2', 0],
    // Node joins headers that are sent twice.
    ['version=1, version=2', 0],
  ]
  for (const [header, version] of versions) t.equal(protocolVersion(header), version, String(header))
})

t.test('GIT_PROTOCOL carries the version and no other text of the client', async (t) => {
  t.equal(gitProtocol(protocolVersion('version=2:evil=$(reboot)')), 'version=2')
  t.equal(gitProtocol(1), 'version=1')
  t.equal(gitProtocol(0), undefined)
})
