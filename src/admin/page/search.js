import { bytesText as bytes, secondsText as seconds } from '../../status/units.js'
import { ask } from './client.js'

const meanings = {
  hit: 'is a hit: the entry is of the state that was just observed',
  join: 'joins the fill that runs',
  gather: 'waits for the fill after the one that runs, since the state has changed meanwhile',
  unsettled: 'is a fill: the repository has just changed or a lease is open, so its state has no name now',
  'nothing-kept': 'is a fill: nothing is kept',
  changed: 'is a fill: what is kept is of an earlier state',
  outdated: 'is a fill: what is kept is too old, or from before a lease ended',
}

const modes = {
  configured: 'by a rule',
  local: 'on a local filesystem',
  network: 'on a network filesystem',
  directories: 'too many directories under refs/',
}

/** Looks at a repository, and returns lines that say what is known of it. */
export async function look(path) {
  const response = await ask(`v1/repositories/${encodeURIComponent(path)}`)
  const body = await response.json()
  if (!response.ok) return [body.detail ?? body.title ?? `status ${response.status}`]
  return [...diskLines(body.disk), ...upstreamLines(body.upstream)]
}

function diskLines(disk) {
  if (!disk) return []
  const { mode, reason, detail, observedAt, settled, leasesOpen, entries, prospects, packs, packBytes } = disk
  const kept = new Map(entries.map((entry) => [entry.kind, entry.bytes]))
  return [
    `${disk.repository}: mode ${mode}, ${modes[reason]}${detail ? ` (${detail})` : ''}` +
      (disk.exported ? '' : '; no git-daemon-export-ok, so served only with --export-all'),
    `last look: ${new Date(observedAt).toLocaleTimeString()}, ${settled ? 'settled' : 'unsettled'}; leases open: ${leasesOpen}`,
    ...prospects
      .filter(({ kind, prospect }) => kept.has(kind) || prospect !== 'nothing-kept')
      .map(({ kind, prospect }) => {
        const size = kept.has(kind) ? ` (${bytes(kept.get(kind))} kept)` : ''
        return `${kind}${size}: the next request ${meanings[prospect] ?? prospect}`
      }),
    ...(entries.length === 0 ? ['no entry is kept: the next request is a fill'] : []),
    `packs kept: ${packs}, ${bytes(packBytes)}`,
  ]
}

function upstreamLines(upstream) {
  if (!upstream) return []
  const { name, maxAgeSeconds, leasesOpen, entries, entryCount } = upstream
  const mode =
    maxAgeSeconds === 0 ? 'exact, so it is asked for each request' : `answers may be ${maxAgeSeconds} s old`
  return [
    `upstream ${name}: ${mode}; leases open: ${leasesOpen}`,
    ...entries.map(({ kind, view, bytes: count, ageSeconds, prospect }) => {
      const asked =
        ageSeconds === undefined ? 'asked by an earlier process' : `asked ${seconds(ageSeconds)} ago`
      return `${kind} for ${views[view]} (${bytes(count)} kept, ${asked}): the next request ${agedMeanings[prospect]}`
    }),
    ...(entryCount > entries.length ? [`and ${entryCount - entries.length} more`] : []),
    ...(entryCount === 0 ? ['no answer is kept: the next request asks the upstream'] : []),
  ]
}

const views = {
  anonymous: 'clients without credentials',
  shared: 'all clients',
  credentials: 'clients with certain credentials',
}

const agedMeanings = {
  hit: 'is a hit: it is young enough',
  exact: 'asks the upstream whether it has changed',
  lease: 'asks the upstream, since a lease is open',
  outdated: 'asks the upstream, since it is too old or from before a change that was told',
  unconfirmed: 'asks the upstream whether it has changed, since its age is not known',
}
