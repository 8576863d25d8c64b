import t from 'tap'
import { commandOf } from '../../../src/git/protocol/command.js'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'

t.test('the first packet names the command', (t) => {
  for (const end of ['', '\n']) {
    t.equal(commandOf(Buffer.concat([pktLine(`command=fetch${end}`), flushPacket])), 'fetch')
    t.equal(commandOf(pktLine(`command=ls-refs${end}`)), 'ls-refs')
  }
  t.end()
})

t.test('another first packet, or one that is cut, names none', (t) => {
  for (const beginning of [
    ...[Buffer.alloc(0), flushPacket, Buffer.from('0011command=fetc'), Buffer.from('zzzzcommand=fetch')],
    ...[pktLine('command=object-info'), pktLine('command=fetch\n\n'), pktLine('command=fetcher')],
    ...[pktLine('agent=git'), pktLine(' command=fetch'), Buffer.from('0014command=fetch\n')],
  ]) {
    t.equal(commandOf(beginning), undefined, beginning.toString())
  }
  t.end()
})
