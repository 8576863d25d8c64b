import { ratesBetween } from '../../status/rates.js'
import { bytesText as bytes, secondsText as seconds } from '../../status/units.js'
import { below, partsOf, points } from './format.js'
import { column, Table } from './table.js'

/** Seconds of the lines. */
const historyMax = 120
const byId = (id) => document.getElementById(id)
const number = { number: true }
const spare = { spare: true }
const dayOf = (at) => at.slice(0, 10)
const time = (at) => new Date(at).toLocaleTimeString()

const hitters = (id, caption, show) =>
  new Table(id, caption, [
    column('repository', ({ key }) => key),
    column('sum', ({ count, error }) => (error > 0 ? '≤ ' : '') + show(count), number),
  ])

/** Names a key by its repository first. */
const byRepository = (root, key) => {
  const { what, repository } = partsOf(key)
  return `${below(root, repository)}${what && `, ${what}`}`
}

function aliveIn({ live, configured }) {
  const away = configured.filter((name) => !live.includes(name))
  const names = away.length > 0 ? `, away: ${away.join(', ')}` : ''
  return `${live.length} of ${configured.length}${names}`
}

/** Shows each status on the page. */
export class View {
  /** The directory of all repositories, as it was given. */
  #root
  #before
  #rates = []
  #ratios = []
  #fills = new Table('fills', '', [
    column('repository', ({ key }) => below(this.#root, partsOf(key).repository)),
    column('answer', ({ key, kind }) => partsOf(key).what || kind, spare),
    column('by', ({ producer, worker }) => (worker ? `${producer}, worker ${worker}` : producer), spare),
    column('phase', ({ phase }) => phase),
    column('age', ({ ageMs }) => seconds(ageMs / 1000), number),
    column('bytes', ({ bytes: count }) => bytes(count), number),
    column('followers', ({ followers }) => followers, number),
  ])
  #failures = new Table('failures', '', [
    column('of', ({ subject }) => below(this.#root, subject)),
    column('message', ({ message }) => message),
    column('what', ({ event, count }) => (count > 1 ? `${event} × ${count}` : event), spare),
    column('last', ({ lastAt }) => time(lastAt), number),
  ])
  #queues = new Table('queues', '', [
    column('class', (row) => row.class),
    column('running', ({ running }) => running, number),
    column('waiting', ({ waiting }) => waiting, number),
  ])
  #leases = new Table('leases', '', [
    column('repository', ({ repository }) => repository),
    column('reason', ({ reason = '' }) => reason),
    column('expires', ({ expiresAt }) => time(expiresAt), number),
  ])
  #upstreams = new Table('upstreams', '', [
    column('host', ({ name }) => name),
    column('breaker', ({ breaker }) => breaker),
    column('quotient', ({ quotient }) => quotient?.toFixed(3) ?? '–', number),
    column('answered', ({ answeredSecondsAgo: ago }) => (ago === undefined ? '–' : seconds(ago)), number),
  ])
  #top = [
    [hitters('top-requests', 'by requests', String), 'byRequests'],
    [hitters('top-bytes', 'by bytes', bytes), 'byBytes'],
    [hitters('top-fills', 'by fills', String), 'byFills'],
  ]
  #kept = new Table('kept', '', [
    column('what', ({ what, isShort }) => (isShort ? `${what}: the disk is full` : what)),
    column('count', ({ count }) => count, number),
    column('disk', (row) => bytes(row.bytes), number),
    column('memory', ({ memoryBytes }) => bytes(memoryBytes), number),
  ])
  #certificates = new Table('certificates', '', [
    column('setting', ({ setting }) => setting),
    column(
      'expires',
      ({ expiresAt, has }) => (has ? `expired ${dayOf(expiresAt)}` : dayOf(expiresAt)),
      number,
    ),
  ])
  #settings = new Table('settings', '', [
    column('name', ([name]) => name),
    column('value', ([, value]) => (typeof value === 'string' ? value : JSON.stringify(value))),
  ])

  show(status) {
    const { requests, permits, fills, leases, upstreams, fleet, top, processes, versions } = status
    this.#root = status.settings.root
    this.#showRates(status)
    this.#before = status
    const waiting = permits.classes.reduce((sum, each) => sum + each.waiting, requests.waiting)
    this.#showNow([
      ['requests under way', requests.underWay],
      ['waiting', waiting],
      ['followers', requests.followers],
      ['Git processes', `${permits.processes} of ${permits.limit}`],
      ['sent', bytes(requests.sentBytes)],
      ...(fleet ? [['nodes alive', aliveIn(fleet)]] : []),
      ...(fleet ? [['engine', fleet.isEngineUp ? 'up' : 'away']] : []),
      ...(processes.expected > 1 ? [['workers', `${processes.answered} of ${processes.expected}`]] : []),
    ])
    byId('fills-count').textContent = fills.count
    this.#fills.show(fills.oldest, ({ id, worker = 0 }) => `${worker} ${id}`)
    this.#failures.show(status.failures, ({ event, subject, message }) => `${event} ${subject} ${message}`)
    const gate = { class: 'all requests', running: requests.underWay, waiting: requests.waiting }
    this.#queues.show([gate, ...permits.classes], (row) => row.class)
    byId('leases-count').textContent = leases.open
    this.#leases.show(leases.next ?? [], (row) => `${row.repository} ${row.openedAt} ${row.reason}`)
    byId('upstreams-section').hidden = upstreams.length === 0
    this.#upstreams.show(upstreams, ({ name }) => name)
    const expiring = status.certificates.map((each) => ({ ...each, has: each.expiresAt <= status.at }))
    byId('certificates-section').hidden = expiring.length === 0
    this.#certificates.show(expiring, ({ setting }) => setting)
    byId('top-span').textContent = `in ${seconds(top.spanSeconds)}`
    const byFills = top.byFills.map((row) => ({ ...row, key: byRepository(this.#root, row.key) }))
    for (const [table, of] of this.#top) table.show({ ...top, byFills }[of], ({ key }) => key)
    const kept = [
      { what: 'entries', ...status.entries },
      { what: 'packs', ...status.packs },
    ]
    this.#kept.show(kept, ({ what }) => what)
    this.#settings.show(Object.entries(status.settings), ([name]) => name)
    const { refstream, node, git = 'unknown' } = versions
    byId('versions').textContent =
      `refstream ${refstream}, Git ${git}, Node ${node}, up for ${seconds(status.uptimeSeconds)}`
  }

  #showRates(status) {
    if (!this.#before) return
    const { requests: perSecond, hitRatio: ratio } = ratesBetween(this.#before, status)
    this.#rates = [...this.#rates, perSecond].slice(-historyMax)
    this.#ratios = [...this.#ratios, ratio].slice(-historyMax)
    const rateText = perSecond.toFixed(perSecond < 10 ? 1 : 0)
    const ratioText = ratio === undefined ? '–' : `${Math.round(100 * ratio)} %`
    byId('rate').textContent = rateText
    byId('rate-most').textContent = `at most ${Math.round(Math.max(...this.#rates))}`
    byId('ratio').textContent = ratioText
    drawLine('rate-line', this.#rates, undefined, `requests per second, now ${rateText}`)
    drawLine('ratio-line', this.#ratios, 1, `share answered without a fill of its own, now ${ratioText}`)
  }

  #showNow(pairs) {
    const list = byId('now')
    pairs.forEach(([name, value], at) => {
      const term = list.children[2 * at] ?? list.appendChild(document.createElement('dt'))
      const detail = list.children[2 * at + 1] ?? list.appendChild(document.createElement('dd'))
      term.textContent = name
      detail.textContent = value
    })
  }
}

function drawLine(id, values, most, label) {
  const svg = byId(id)
  const line =
    svg.firstElementChild ??
    svg.appendChild(document.createElementNS('http://www.w3.org/2000/svg', 'polyline'))
  line.setAttribute('points', points(values, 120, 32, most))
  svg.setAttribute('aria-label', label)
}
