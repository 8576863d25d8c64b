import t from 'tap'
import { Metadata, status, type ServerUnaryCall } from '@grpc/grpc-js'
import { FilesystemUnanswered } from '../../src/git/filesystem/filesystem-unanswered.js'
import { replyBy } from '../../src/grpc/admin-call.js'
import { RpcError } from '../../src/grpc/status.js'
import { RepositoryNotFound } from '../../src/origin/faults/errors.js'
import type { Log } from '../../src/telemetry/log.js'

async function call(work: () => Promise<object>) {
  const lines: string[] = []
  const log = {
    error: ({ method }: { method: string }) => lines.push(`error ${method}`),
    info: (fields: Record<string, unknown>) =>
      lines.push(`info ${String(fields['event.name'])} ${String(fields['rpc.grpc.status_code'])}`),
    debug: ({ method }: { method: string }) => lines.push(`debug ${method}`),
  } as unknown as Log
  const audit = { log, clientOf: () => '', adminOf: () => undefined }
  const handler = replyBy<object, object>(audit, work, () => ({ event: 'change' }))
  const reply = await new Promise<readonly unknown[]>((resolve) =>
    handler(
      { getPath: () => '/S/M', metadata: new Metadata(), request: {} } as unknown as ServerUnaryCall<
        object,
        object
      >,
      (...all) => resolve(all),
    ),
  )
  return { reply, lines }
}

t.test('a call is answered by what the work returns', async (t) => {
  t.same(await call(async () => ({ a: 1 })), { reply: [null, { a: 1 }], lines: ['info change 0'] })
})

t.test('a call whose work fails gets a status, and is logged as its failure asks for', async (t) => {
  for (const [error, code, lines] of [
    [new RpcError('invalid', 'x'), status.INVALID_ARGUMENT, []],
    [new RpcError('unauthenticated', 'x'), status.UNAUTHENTICATED, []],
    [new RepositoryNotFound('x'), status.NOT_FOUND, []],
    [new FilesystemUnanswered([], 5), status.UNAVAILABLE, ['debug /S/M']],
    [new TypeError('x'), status.INTERNAL, ['error /S/M']],
  ] as const) {
    const result = await call(() => Promise.reject(error))
    t.match(result.reply, [{ code }])
    t.same(result.lines, [
      ...lines,
      `info ${code === status.UNAUTHENTICATED ? 'refstream.login.refused' : 'change'} ${code}`,
    ])
  }
})
