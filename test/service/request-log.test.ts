import t from 'tap'
import { RequestLog, type AccessLogMode, type LoggedRequest } from '../../src/service/request-log.js'
import { createLog } from '../../src/telemetry/log.js'

interface Change extends Partial<Omit<LoggedRequest, 'details'>> {
  readonly status?: number
  readonly hasCredentials?: boolean
}

/** Returns the lines that a request leaves in a log. */
function linesOf(mode: AccessLogMode, change: Change, level = 'info'): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = []
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>)
  const { status = 200, hasCredentials = false, ...request } = change
  new RequestLog({ mode, slowMs: 1000, log: createLog(level, { write }) }).ended({
    ...{ id: 'id-1', kind: 'ls-refs', repository: 'r.git', outcome: 'hit', sentBytes: 7, user: undefined },
    ...{ elapsedMs: 10, waitedMs: 2, firstByteMs: 5 },
    ...request,
    details: () => ({ status, hasCredentials, attributes: { 'http.response.status_code': status } }),
  })
  return lines
}

const events = (...given: Parameters<typeof linesOf>): unknown[] =>
  linesOf(...given).map((line) => line['event.name'])

t.test('each mode has its requests', async (t) => {
  const cases: [Change, AccessLogMode[]][] = [
    [{}, ['all']],
    [{ elapsedMs: 1000 }, ['slow', 'all']],
    [{ outcome: 'error' }, ['errors', 'slow', 'all']],
    [{ outcome: undefined }, ['errors', 'slow', 'all']],
    [{ outcome: 'shed', status: 429 }, ['errors', 'slow', 'all']],
    [{ outcome: 'aborted' }, ['errors', 'slow', 'all']],
    [{ outcome: 'passthrough', status: 404 }, ['errors', 'slow', 'all']],
    [{ outcome: 'passthrough', status: 401 }, ['all']],
    [{ outcome: 'unauthenticated', status: 401 }, ['all']],
  ]
  for (const [change, modes] of cases) {
    for (const mode of ['off', 'errors', 'slow', 'all'] as const) {
      const expected = modes.includes(mode) ? ['refstream.request'] : []
      t.same(events(mode, change), expected, `${mode}: ${JSON.stringify(change)}`)
    }
  }
})

t.test('pushes and refused logins are logged in every mode', async (t) => {
  t.same(events('off', { kind: 'receive-pack', outcome: 'passthrough' }), ['refstream.push'])
  t.same(events('all', { kind: 'receive-pack' }), ['refstream.push', 'refstream.request'])
  const refused = { outcome: 'unauthenticated', status: 401 }
  t.same(events('off', { ...refused, hasCredentials: true }), ['refstream.login.refused'])
  t.same(events('off', refused), [], 'a client that has no credentials was not refused')
  t.same(events('all', { kind: 'receive-pack' }, 'warn'), [], 'both are at level info')
})

t.test('the fields of a line', async (t) => {
  const [line] = linesOf('all', { user: 'alice', repository: 'https://a:s3cret@h/r.git' })
  t.match(line, {
    level: 30,
    'user.name': 'alice',
    'http.response.status_code': 200,
    'http.response.body.size': 7,
    'refstream.request.id': 'id-1',
    'refstream.request.kind': 'ls-refs',
    'refstream.repository': 'https://h/r.git',
    'refstream.outcome': 'hit',
    'refstream.duration': 0.01,
    'refstream.admission.wait': 0.002,
    'refstream.first_byte': 0.005,
  })
})
