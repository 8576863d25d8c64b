import t from 'tap'
import { isSameProof, Prover, type ProvenRequest } from '../../../../src/fleet/peers/protocol/proof.js'

const request: ProvenRequest = {
  method: 'POST',
  path: '/v1/entries',
  from: 'a',
  to: 'b',
  session: '0',
  nonce: '1',
  bodySha256: '2',
  have: undefined,
}

t.test('a proof covers every part of a request', async (t) => {
  const prover = new Prover('0123456789abcdef')
  const proof = prover.request(request)
  t.ok(isSameProof(proof, prover.request({ ...request })))
  for (const key of Object.keys(request)) {
    t.notOk(isSameProof(proof, prover.request({ ...request, [key]: 'other' })), key)
  }
  const moved = prover.request({ ...request, from: 'ab', to: '' })
  t.notOk(isSameProof(moved, prover.request({ ...request, from: 'a', to: 'b' })), 'and where parts end')
  t.notOk(isSameProof(proof, new Prover('0123456789abcdeF').request(request)), 'and the secret')
})

t.test('a proof covers every part of an answer', async (t) => {
  const prover = new Prover('0123456789abcdef')
  const [one, two] = [prover.request(request), prover.request({ ...request, nonce: '2' })]
  const proof = prover.answer(one, 'head', Buffer.from('{}'))
  t.ok(isSameProof(proof, prover.answer(one, 'head', Buffer.from('{}'))))
  t.notOk(isSameProof(proof, prover.answer(two, 'head', Buffer.from('{}'))))
  t.notOk(isSameProof(proof, prover.answer(one, 'end', Buffer.from('{}'))))
  t.notOk(isSameProof(proof, prover.answer(one, 'head', Buffer.from('{ }'))))
  t.notOk(isSameProof(proof, proof.subarray(1)))
})

t.test('a secret has 16 characters or more', async (t) => {
  t.throws(() => new Prover('0123456789abcde'), RangeError)
  t.notOk(new Prover(undefined).hasSecret)
})
