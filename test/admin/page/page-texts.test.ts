// What the page's scripts make of the API's answers, without a browser.
import t from 'tap'

type Format = Record<'partsOf' | 'below' | 'points', (...given: unknown[]) => unknown>
const load = async (name: string): Promise<unknown> =>
  import(new URL(`../../../src/admin/page/${name}.js`, import.meta.url).href)

/** Returns the lines for an answer of the API. */
async function linesFor(answer: object, status = 200): Promise<string[]> {
  const held = { fetch: globalThis.fetch }
  const asked: string[] = []
  Object.assign(globalThis, {
    sessionStorage: { getItem: () => null },
    fetch: (path: string) => {
      asked.push(path)
      return Promise.resolve(Response.json(answer, { status }))
    },
  })
  try {
    const { look } = (await load('search')) as { look: (path: string) => Promise<string[]> }
    const lines = await look('team/a b.git')
    t.same(asked, ['v1/repositories/team%2Fa%20b.git'])
    return lines
  } finally {
    Object.assign(globalThis, held)
  }
}

t.test('a key is shown by its repository', async (t) => {
  const { partsOf, below } = (await load('format')) as Format
  t.same(partsOf('advertisement v0 /srv/my repositories/a.git'), {
    ...{ what: 'advertisement v0', repository: '/srv/my repositories/a.git' },
  })
  t.same(partsOf('pack 0123456789abcdef /srv/a.git'), { what: 'pack 01234567', repository: '/srv/a.git' })
  t.same(partsOf('upstream-listing aGFzaA shared https://far.example/a.git'), {
    ...{ what: 'listing aGFzaA', repository: 'https://far.example/a.git' },
  })
  t.equal(below('/srv', 'upload-pack /srv/team/a.git'), 'upload-pack team/a.git')
  t.equal(below(undefined, '/srv/team/a.git'), '/srv/team/a.git')
})

t.test(
  'a search says the mode, the last look, the entries, and why it would be a hit or a fill',
  async (t) => {
    const disk = {
      ...{ repository: 'team/a b.git', exported: false, mode: 'lease', reason: 'network', detail: 'nfs4' },
      ...{ observedAt: new Date().toISOString(), settled: true, leasesOpen: 0, packs: 2, packBytes: 2048 },
      entries: [{ kind: 'advertisement v2', bytes: 1536 }],
      prospects: [
        { kind: 'advertisement v0', prospect: 'nothing-kept' },
        { kind: 'advertisement v2', prospect: 'hit' },
        { kind: 'listing sha1', prospect: 'join' },
      ],
    }
    const [mode, last, ...rest] = await linesFor({ disk })
    t.match(mode, 'team/a b.git: mode lease, on a network filesystem (nfs4); no git-daemon-export-ok')
    t.match(last, /^last look: .*, settled; leases open: 0$/)
    t.same(rest, [
      'advertisement v2 (1.5 KiB kept): the next request is a hit: the entry is of the state that was just observed',
      'listing sha1: the next request joins the fill that runs',
      'packs kept: 2, 2.0 KiB',
    ])
  },
)

t.test('of an upstream it says how old answers are and may be', async (t) => {
  const upstream = {
    ...{ name: 'far.example:443', maxAgeSeconds: 60, leasesOpen: 1, entryCount: 3 },
    entries: [
      { kind: 'listing', view: 'shared', bytes: 9, ageSeconds: 70, prospect: 'lease' },
      { kind: 'advertisement v2', view: 'credentials', bytes: 9, prospect: 'unconfirmed' },
    ],
  }
  t.same(await linesFor({ upstream }), [
    'upstream far.example:443: answers may be 60 s old; leases open: 1',
    'listing for all clients (9 B kept, asked 1 min ago): the next request asks the upstream, since a lease is open',
    'advertisement v2 for clients with certain credentials (9 B kept, asked by an earlier process): the next request asks the upstream whether it has changed, since its age is not known',
    'and 1 more',
  ])
})

t.test('an error is said in the words of the API', async (t) => {
  t.same(await linesFor({ detail: 'there is no repository "x"' }, 404), ['there is no repository "x"'])
})
