import type { Status } from '../../status/model.js'
import { ratesBetween } from '../../status/rates.js'
import { bytesText, secondsText } from '../../status/units.js'
import { columns } from './columns.js'
import { printable } from './printable.js'

/** Returns the lines that `refstream top` shows. @param before the status a moment ago; undefined: there is none yet */
export function frame(status: Status, before: Status | undefined, admin: string): string[] {
  return [
    ...headLines(status, before, admin),
    ...section(`fills under way: ${status.fills.count}`, fillRows(status)),
    ...section('failures of late', failureRows(status)),
    ...section('leases', leaseRows(status)),
    ...section('certificates that expire within 14 days', certificateRows(status)),
    ...section(`most requests in ${secondsText(status.top.spanSeconds)}`, topRows(status)),
  ]
}

type Rows = readonly (readonly (string | number)[])[]

/** @param rows the first has the names of the columns */
function section(title: string, rows: Rows): string[] {
  return rows.length < 2 ? [] : ['', title, ...columns(rows).map((line) => `  ${line}`)]
}

const time = (at: string | number): string => new Date(at).toISOString().slice(11, 19)

function headLines(status: Status, before: Status | undefined, admin: string): string[] {
  const { ready, versions, requests, permits, processes, leases, entries, packs, upstreams, fleet } = status
  const rates = before && ratesBetween(before, status)
  const state = ready.isReady ? 'ready' : `not ready: ${ready.reason ?? 'unknown'}`
  const { refstream, git = 'unknown' } = versions
  const waiting = permits.classes.filter((each) => each.waiting > 0)
  return columns([
    ['refstream', `${refstream} at ${admin}, Git ${git}, up ${secondsText(status.uptimeSeconds)}, ${state}`],
    ...(processes.expected > 1 ? [['workers', `${processes.answered} of ${processes.expected}`]] : []),
    [
      'requests',
      [
        rates ? `${rates.requests.toFixed(1)}/s` : undefined,
        rates?.hitRatio === undefined ? undefined : `${Math.round(100 * rates.hitRatio)} % without a fill`,
        rates && `${bytesText(rates.bytes)}/s`,
        `${requests.underWay} under way`,
        `${requests.waiting} waiting`,
        `${requests.followers} followers`,
        `${bytesText(requests.sentBytes)} sent`,
      ]
        .filter(Boolean)
        .join(', '),
    ],
    [
      'Git',
      [
        `${permits.processes} of ${permits.limit} processes`,
        ...waiting.map((each) => `${each.waiting} waiting for ${each.class}`),
        `${leases.open} leases`,
      ].join(', '),
    ],
    ['kept', `${keptText('entries', entries)}, ${keptText('packs', packs)}`],
    ...upstreams.map(({ name, breaker, quotient, answeredSecondsAgo }) => [
      'upstream',
      [
        `${name}: breaker ${breaker}`,
        quotient === undefined ? undefined : `quotient ${quotient.toFixed(3)}`,
        answeredSecondsAgo === undefined
          ? 'no answer yet'
          : `answered ${secondsText(answeredSecondsAgo)} ago`,
      ]
        .filter(Boolean)
        .join(', '),
    ]),
    ...(fleet
      ? [
          [
            'fleet',
            `node ${fleet.node}, ${fleet.live.length} of ${fleet.configured.length} nodes alive, engine ${fleet.isEngineUp ? 'up' : 'away'}`,
          ],
        ]
      : []),
  ])
}

const keptText = (what: string, { count, bytes, isShort }: Status['entries']): string =>
  `${count} ${what} (${bytesText(bytes)}${isShort ? ', the disk is too full for more' : ''})`

const fillRows = ({ fills }: Status): Rows => [
  ['age', 'bytes', 'followers', 'phase', 'by', 'key'],
  ...fills.oldest.map(({ ageMs, bytes, followers, phase, producer, worker, key }) => [
    secondsText(ageMs / 1000),
    bytesText(bytes),
    followers,
    phase,
    worker === undefined ? producer : `${producer}, worker ${worker}`,
    key,
  ]),
]

const failureRows = ({ failures }: Status): Rows => [
  ['last', 'times', 'what', 'of what, and why'],
  ...failures
    .slice(0, 10)
    .map(({ lastAt, count, event, subject, message }) => [
      time(lastAt),
      count,
      event,
      subject === '' ? message : `${subject}: ${message}`,
    ]),
]

const leaseRows = ({ leases }: Status): Rows => [
  ['expires', 'repository'],
  ...(leases.next ?? [])
    .slice(0, 10)
    .map(({ expiresAt, repository, reason }) => [
      time(expiresAt),
      reason === undefined ? repository : `${repository} (${printable(reason)})`,
    ]),
]

const noticeMs = 14 * 86_400_000

const certificateRows = ({ at, certificates }: Status): Rows => [
  ['expires', 'setting'],
  ...certificates
    .filter(({ expiresAt }) => Date.parse(expiresAt) - Date.parse(at) < noticeMs)
    .map(({ expiresAt, setting }) => [expiresAt <= at ? `expired ${expiresAt}` : expiresAt, setting]),
]

const topRows = ({ top }: Status): Rows => [
  ['requests', 'repository'],
  ...top.byRequests.map(({ key, count }) => [count, key]),
]
