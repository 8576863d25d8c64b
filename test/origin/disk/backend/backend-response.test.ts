import t from 'tap'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { GitError } from '../../../../src/git/process/git-error.js'
import type { GitProcess } from '../../../../src/git/process/git-process.js'
import { backendResponse } from '../../../../src/origin/disk/backend/backend-response.js'
import type { PassThroughRequest } from '../../../../src/origin/pass-through.js'
import { passThroughRequestOf, wholeBody } from '../../../support/pass-through-request.js'

/** A process that writes this and ends with this code. */
function processOf(output: string, code = 0) {
  const stdin = new PassThrough()
  const stdout = new PassThrough()
  stdout.end(Buffer.from(output, 'latin1'))
  const state = { isEnded: false }
  const process = {
    ...{ stdin, stdout, ended: Promise.resolve({ code, reason: `exit code ${code}` }) },
    end: () => (state.isEnded = true),
  } as unknown as GitProcess
  return { process, stdin, state }
}

async function answer(output: string, code = 0, given: Partial<PassThroughRequest> = {}) {
  const { process } = processOf(output, code)
  const response = await backendResponse(process, passThroughRequestOf(given))
  let received = ''
  for await (const chunk of response.body) received += (chunk as Buffer).toString('latin1')
  return { ...response, received, isWhole: await response.whole() }
}

const head = 'Content-Type: text/plain\r\n'

t.test('the response is Git’s', async (t) => {
  t.match(await answer(`Status: 404 Not Found\r\n${head}X: 1\r\n\r\nhello`), {
    ...{ status: 404, statusText: 'Not Found', headers: ['Content-Type', 'text/plain', 'X', '1'] },
    ...{ received: 'hello', isWhole: true },
  })
})

t.test('Git is fed what was read of the body, and then the rest', async (t) => {
  for (const body of [
    wholeBody('body'),
    { beginning: Buffer.from('bo'), ended: false, rest: new PassThrough().end('dy') },
    { beginning: Buffer.alloc(0), ended: false, rest: new PassThrough().end('body') },
  ]) {
    const { process, stdin } = processOf(`${head}\r\n`)
    let input = ''
    stdin.on('data', (chunk: Buffer) => (input += chunk.toString()))
    await Promise.all([once(stdin, 'end'), backendResponse(process, passThroughRequestOf({ body }))])
    t.equal(input, 'body')
  }
})

t.test('what Git does not read of the body is dropped, and its source lives on', async (t) => {
  const rest = new PassThrough({ highWaterMark: 4 })
  const body = { beginning: Buffer.alloc(0), ended: false, rest }
  const { process, stdin } = processOf(`${head}\r\nno`)
  await backendResponse(process, passThroughRequestOf({ body }))
  stdin.destroy()
  await once(stdin, 'close')
  rest.end('a body that is longer than any buffer on its way')
  await once(rest, 'end')
  t.equal(rest.errored, null)
})

t.test('a response of a Git that failed is whole if its length or its error message says so', async (t) => {
  const packets = 'Content-Type: application/x-git-upload-pack-result\r\n\r\n'
  for (const [output, isWhole] of [
    [`${head}\r\nhello`, false],
    [`${head}Content-Length: 5\r\n\r\nhello`, true],
    [`${head}Content-Length: 6\r\n\r\nhello`, false],
    [`${packets}000cERR nope`, true],
    [`${packets}000cERR no`, false],
    [`${packets}0009hello`, false],
    [`${head}\r\n000cERR nope`, false],
  ] as const) {
    t.equal((await answer(output, 128)).isWhole, isWhole, JSON.stringify(output))
  }
})

t.test('a response that is given up ends the process and its output', async (t) => {
  const { process, state } = processOf(`${head}\r\nhello`)
  const response = await backendResponse(process, passThroughRequestOf())
  const closed = new Promise((resolve) => process.stdout.once('close', resolve))
  response.end()
  t.same(state, { isEnded: true })
  await closed
})

t.test('an error of the output is one of the body', async (t) => {
  const { process } = processOf(`${head}\r\nhello`)
  const { body } = await backendResponse(process, passThroughRequestOf())
  const read = body.toArray()
  process.stdout.destroy(new Error('broken'))
  await t.rejects(read, { message: 'broken' })
})

t.test('a push that Git refuses without a message gets one', async (t) => {
  const refused = 'Status: 403 Forbidden\r\n\r\n'
  const pushes = [{ resource: '/git-receive-pack' }, { resource: '/info/refs', service: 'git-receive-pack' }]
  for (const push of pushes) {
    await t.rejects(answer(refused, 0, push), { name: 'PushRefused', message: /needs a user name/ })
    await t.rejects(answer(refused, 0, { ...push, remoteUser: 'me' }), {
      message: /http.receivepack is false/,
    })
  }
  t.match(await answer(refused, 0, { resource: '/git-upload-pack' }), { status: 403 })
})

t.test('a response head that HTTP does not allow is an error, and ends the process', async (t) => {
  for (const lines of ['X: a\u0001b', 'X\u0001: a', 'Status: 200 a\u0001b', 'Status: 099 x', 'no header']) {
    const { process, state } = processOf(`${lines}\r\n\r\nhello`)
    await t.rejects(backendResponse(process, passThroughRequestOf()), GitError, JSON.stringify(lines))
    t.same(state, { isEnded: true })
  }
})
