import t from 'tap'
import { pktLine } from '../../../src/git/protocol/pkt-line.js'

t.test('a length counts its own four digits, in bytes', async (t) => {
  t.equal(pktLine('# service=git-upload-pack\n').toString(), '001e# service=git-upload-pack\n')
  t.equal(pktLine('é').toString('latin1').slice(0, 4), '0006')
  t.equal(pktLine('').toString(), '0004')
})
