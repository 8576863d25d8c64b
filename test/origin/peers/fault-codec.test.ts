import t from 'tap'
import { PeerRefused, PeerUnreachable, type PeerFault } from '../../../src/fleet/peers/peer.js'
import { FilesystemUnanswered } from '../../../src/git/filesystem/filesystem-unanswered.js'
import { PackRefused } from '../../../src/git/process/pack-answer.js'
import { pktLine } from '../../../src/git/protocol/pkt-line.js'
import { RepositoryExchanged } from '../../../src/git/state/reopen-repository.js'
import { Overloaded } from '../../../src/limits/overloaded.js'
import { BackingOff, RepositoryNotFound, ServiceDisabled } from '../../../src/origin/faults/errors.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../../../src/origin/faults/upstream-errors.js'
import { OriginFaults } from '../../../src/origin/peers/fault-codec.js'
import { RedirectRefused } from '../../../src/origin/upstream/client/errors.js'
import { CredentialsUnavailable } from '../../../src/origin/upstream/credentials/credential-source.js'
import { UnsortedListing } from '../../../src/origin/upstream/refs/listing-order.js'
import { upstreamFaults } from '../../../src/origin/upstream/upstream-faults.js'
import { NotSmart } from '../../../src/origin/upstream/upstream-requests.js'
import { classify } from '../../../src/service/failures.js'
import { FillError } from '../../../src/streamcache/index.js'

const codec = new OriginFaults(upstreamFaults)

/** Tells another node of an error, as JSON. */
const told = (error: unknown): Error =>
  codec.decode(JSON.parse(JSON.stringify(codec.encode(error))) as PeerFault)

const errors: readonly Error[] = [
  new RepositoryNotFound('a/path'),
  new ServiceDisabled('http.uploadpack is off'),
  new BackingOff(1234, new Error('why')),
  new Overloaded('wait', 7),
  new PackRefused(pktLine('ERR upload-pack: not our ref')),
  new UpstreamRefusal(401, ['WWW-Authenticate', 'Basic realm="a"'], Buffer.from([0, 255])),
  new UpstreamUnavailable('h:80: refused', { retryAfterMs: 5000, status: 503, wasAsked: false }),
  new UpstreamUnavailable('h:80: refused'),
  new FilesystemUnanswered(['/mnt'], 3),
  new RepositoryExchanged(),
  new NotSmart(),
  new UnsortedListing(),
  new CredentialsUnavailable('no helper'),
  new RedirectRefused(302, 'to elsewhere'),
  new FillError('timeout', 'the fill took too long'),
]

for (const error of errors) {
  void t.test(`${error.name} has the same consequences on another node`, async (t) => {
    const decoded = told(error)
    t.equal(decoded.constructor, error.constructor)
    t.strictSame(classify(decoded), classify(error))
    // As the engine of entries hands them on.
    const { cause } = new FillError('producer', 'x', {
      cause: told(new FillError('producer', 'x', { cause: error })),
    })
    t.equal((cause as Error).constructor, error.constructor)
  })
}

void t.test('what clients and back-off need is told too', async (t) => {
  const refusal = told(errors[5])
  if (!(refusal instanceof UpstreamRefusal)) throw refusal
  t.strictSame(
    { status: refusal.status, headers: refusal.headers, body: [...refusal.body] },
    { status: 401, headers: ['WWW-Authenticate', 'Basic realm="a"'], body: [0, 255] },
  )
  t.match(told(errors[6]), { status: 503, wasAsked: false, retryAfterMs: 5000 })
  t.match(told(errors[7]), { wasAsked: true })
  const answer = pktLine('ERR upload-pack: not our ref')
  t.match(told(new PackRefused(answer)), { answer })
  t.match(told(new PeerRefused('different', 'x')), { why: 'different' })
})

void t.test(
  'of all other errors, it is told that the fill failed, and nothing of them is published',
  async (t) => {
    const error = new Error('fatal: bad ref refs/heads/secret')
    t.match(told(error), { name: 'FillError', fault: 'producer' })
    t.notMatch(codec.encode(error).message, /secret/)
    t.notMatch(codec.encode(new RepositoryNotFound('secret/path')).message, /secret/)
  },
)

void t.test('a node that is about to end is not there', async (t) => {
  t.equal(told(new FillError('closed', 'the cache is closing')).constructor, PeerUnreachable)
})

void t.test('the fault of another version is that of a fill', async (t) => {
  t.match(codec.decode({ code: 'new', message: 'm' }), { name: 'FillError', message: 'm' })
  t.match(codec.decode({ code: 'overloaded', message: 'm', details: { reason: 'moon' } }), {
    name: 'FillError',
  })
})
