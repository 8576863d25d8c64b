import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AdvertisementFrame } from '../../../src/git/protocol/advertisement-frame.js'
import { completeLsRefs } from '../../../src/git/protocol/ls-refs.js'
import { flushPacket, pktLine } from '../../../src/git/protocol/pkt-line.js'
import { RefListing } from '../../../src/git/protocol/ref-listing.js'
import { git, gitWith, initBare, makeCommit } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

type Format = 'sha1' | 'sha256'
type Version = 0 | 1

const service = Buffer.concat([pktLine('# service=git-upload-pack\n'), flushPacket])

function uploadPack(cwd: string, version: number, mode: string, input: Buffer = Buffer.alloc(0)): Buffer {
  const environment = { GIT_PROTOCOL: `version=${version}` }
  const output = gitWith(
    { cwd, input, environment, encoding: 'latin1' },
    'upload-pack',
    '--strict',
    mode,
    '.',
  )
  return Buffer.from(output, 'latin1')
}

const advertisementOf = (repository: string, version: Version): Buffer =>
  Buffer.concat([service, uploadPack(repository, version, '--http-backend-info-refs')])

function listingOf(repository: string, format: Format): RefListing {
  const listing = new RefListing()
  listing.append(uploadPack(repository, 2, '--stateless-rpc', completeLsRefs(format)))
  return listing
}

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const read = (bytes: Buffer, size = 1000): Promise<AdvertisementFrame | undefined> =>
  AdvertisementFrame.read(inChunks(bytes, size))

/** Repositories that differ in what an advertisement shows. */
const kinds: Record<string, (repository: string) => void> = {
  'branches and nested tags': (repository) => {
    const commit = makeCommit(repository, 'one')
    for (const name of ['main', 'a', 'a-b', 'a.b', 'z'])
      git(repository, 'update-ref', `refs/heads/${name}`, commit)
    git(repository, 'tag', '-a', '-m', 'x', 'v1', commit)
    git(repository, 'tag', '-a', '-m', 'x', 'v2', 'v1')
    git(repository, 'tag', 'light', commit)
    git(repository, 'update-ref', 'refs/zz/\u00fc', commit)
  },
  'symbolic refs, also to tags': (repository) => {
    const commit = makeCommit(repository, 'one')
    git(repository, 'update-ref', 'refs/heads/main', commit)
    git(repository, 'tag', '-a', '-m', 'x', 'v1', commit)
    git(repository, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/main')
    git(repository, 'symbolic-ref', 'refs/heads/dangling', 'refs/heads/nowhere')
    git(repository, 'symbolic-ref', 'refs/tags/latest', 'refs/tags/v1')
  },
  'detached HEAD': (repository) => {
    const commit = makeCommit(repository, 'one')
    git(repository, 'update-ref', 'refs/heads/main', commit)
    git(repository, 'update-ref', '--no-deref', 'HEAD', makeCommit(repository, 'two', commit))
  },
  'unborn HEAD beside a tag that is first': (repository) => {
    git(repository, 'tag', '-a', '-m', 'x', 'v1', makeCommit(repository, 'one'))
    git(repository, 'tag', '-a', '-m', 'x', 'v2', 'v1')
  },
  'unborn HEAD that is not shown': (repository) => {
    git(repository, 'config', 'lsrefs.unborn', 'ignore')
    git(repository, 'update-ref', 'refs/heads/other', makeCommit(repository, 'one'))
  },
  'HEAD alone': (repository) => {
    git(repository, 'update-ref', '--no-deref', 'HEAD', makeCommit(repository, 'one'))
  },
  'shallow, and capabilities from its configuration': (repository) => {
    const commit = makeCommit(repository, 'two', makeCommit(repository, 'one'))
    git(repository, 'update-ref', 'refs/heads/main', commit)
    writeFileSync(join(repository, 'shallow'), `${commit}\n`)
    git(repository, 'config', 'uploadpack.allowFilter', 'true')
    git(repository, 'config', 'transfer.hideRefs', 'refs/hidden')
    git(repository, 'update-ref', 'refs/hidden/one', commit)
  },
}

for (const format of ['sha1', 'sha256'] as const) {
  for (const [kind, prepare] of Object.entries(kinds)) {
    // The other format differs in the length of ids alone.
    if (format === 'sha256' && !/tags|shallow/.test(kind)) continue
    t.test(`${format}, ${kind}: what is derived from a listing is Git's own`, async (t) => {
      const repository = initBare(tempDir(t), 'r.git', { objectFormat: format })
      prepare(repository)
      const listing = listingOf(repository, format)
      for (const version of [0, 1] as const) {
        const expected = advertisementOf(repository, version)
        for (const size of version === 0 ? [1, 7, 100_000] : [1000]) {
          const frame = await read(expected, size)
          const chunks = (await frame?.advertise(listing)) ?? []
          t.equal(Buffer.concat(chunks).toString('latin1'), expected.toString('latin1'), `v${version}`)
          t.ok(chunks.every(({ length }) => length > 0))
        }
      }
    })
  }
}

t.test('a frame serves later states of refs, while HEAD points to the same', async (t) => {
  const repository = initBare(tempDir(t), 'r.git')
  const commit = makeCommit(repository, 'one')
  git(repository, 'update-ref', 'refs/heads/main', commit)
  const frame = (await read(advertisementOf(repository, 0)))!
  git(repository, 'update-ref', 'refs/heads/main', makeCommit(repository, 'two', commit))
  git(repository, 'tag', '-a', '-m', 'x', 'v1', commit)
  const derived = await frame.advertise(listingOf(repository, 'sha1'))
  t.ok(Buffer.concat(derived!).equals(advertisementOf(repository, 0)))
  git(repository, 'update-ref', 'refs/heads/other', commit)
  git(repository, 'symbolic-ref', 'HEAD', 'refs/heads/other')
  t.equal(await frame.advertise(listingOf(repository, 'sha1')), undefined, 'another branch')
  git(repository, 'symbolic-ref', 'HEAD', 'refs/heads/unborn')
  t.equal(await frame.advertise(listingOf(repository, 'sha1')), undefined, 'an unborn branch')
  const unborn = (await read(advertisementOf(repository, 0)))!
  git(repository, 'update-ref', '--no-deref', 'HEAD', commit)
  t.equal(await frame.advertise(listingOf(repository, 'sha1')), undefined, 'detached')
  t.ok(
    Buffer.concat((await unborn.advertise(listingOf(repository, 'sha1')))!).equals(
      advertisementOf(repository, 0),
    ),
  )
})

t.test('files with names that no ref can have are broken refs', async (t) => {
  const repository = initBare(tempDir(t), 'r.git')
  const commit = makeCommit(repository, 'one')
  git(repository, 'update-ref', 'refs/tags/one', commit)
  const frame = (await read(advertisementOf(repository, 0)))!
  const isRight = async (what: string): Promise<void> => {
    const chunks = (await frame.advertise(listingOf(repository, 'sha1'))) ?? []
    const expected = advertisementOf(repository, 0).toString('latin1')
    t.equal(Buffer.concat(chunks).toString('latin1'), expected, what)
  }
  git(repository, 'tag', '-a', '-m', 'x', 'v1', commit)
  git(repository, 'symbolic-ref', 'refs/tags/alias', 'refs/tags/one')
  for (const name of ['p..q', 'v1 x', 'alias x', 'one  ', 'tab\t'])
    writeFileSync(join(repository, 'refs/tags', name), `${commit}\n`)
  await isRight('between other refs, some with attributes')
  writeFileSync(join(repository, 'refs/heads/new\nline'), `${commit}\n`)
  await isRight('a newline in the first name')
  writeFileSync(join(repository, 'refs/heads/a b'), 'ref: refs/tags/one\n')
  await isRight('a symbolic ref as the first one')
})

t.test('there is no advertisement of what packed-refs has outside of refs/', async (t) => {
  const repository = initBare(tempDir(t), 'r.git')
  const commit = makeCommit(repository, 'one')
  git(repository, 'update-ref', 'refs/heads/main', commit)
  const frame = (await read(advertisementOf(repository, 0)))!
  for (const name of ['AHEAD', 'other/x', 'refsx/y', 'zz']) {
    writeFileSync(join(repository, 'packed-refs'), `# pack-refs with: sorted\n${commit} ${name}\n`)
    const listing = listingOf(repository, 'sha1')
    t.ok(listing.find(Buffer.from(name)), `${name} is listed`)
    t.equal(await frame.advertise(listing), undefined)
  }
})

t.test('there is no advertisement of other object ids, or of no refs', async (t) => {
  const root = tempDir(t)
  const one = initBare(root, 'one.git')
  const other = initBare(root, 'other.git', { objectFormat: 'sha256' })
  const empty = initBare(root, 'empty.git')
  t.equal(await read(advertisementOf(empty, 0)), undefined)
  t.equal(await read(advertisementOf(empty, 1)), undefined)
  for (const repository of [one, other])
    git(repository, 'update-ref', 'refs/heads/main', makeCommit(repository, 'one'))
  const frame = (await read(advertisementOf(one, 0)))!
  t.equal(await frame.advertise(listingOf(other, 'sha256')), undefined)
  t.equal(await frame.advertise(listingOf(empty, 'sha1')), undefined)
})

const id = '1'.repeat(40)
const refLine = (name: string, attributes = ''): Buffer => pktLine(`${id} ${name}${attributes}\n`)

t.test('after a splice, only lines of new blocks are new', async (t) => {
  const names = Array.from({ length: 6000 }, (_, index) => `refs/tags/t${String(index).padStart(5, '0')}`)
  const head = refLine('HEAD', ' symref-target:refs/heads/main')
  const branches = Array.from({ length: 3000 }, (_, index) =>
    refLine(`refs/heads/b${String(index).padStart(5, '0')}`),
  )
  const tags = names.map((name) => refLine(name, ` peeled:${'2'.repeat(40)}`))
  const listing = new RefListing()
  listing.append(Buffer.concat([head, ...branches, ...tags, flushPacket]))
  const first = pktLine(`${id} HEAD\0caps symref=HEAD:refs/heads/main object-format=sha1\n`)
  const peeled = names.flatMap((name) => [refLine(name), pktLine(`${'2'.repeat(40)} ${name}^{}\n`)])
  const body = Buffer.concat([service, first, ...branches, ...peeled, flushPacket])
  const frame = (await read(body, 65_536))!
  const chunks = (await frame.advertise(listing))!
  t.ok(Buffer.concat(chunks).equals(body))
  const changed = refLine('refs/tags/t03000')
  const spliced = await listing.splice(['refs/tags/t03000'], Buffer.concat([changed, flushPacket]))
  const others = (await frame.advertise(spliced))!
  const known = new Set(chunks)
  t.equal(others.filter((chunk) => !known.has(chunk)).length, 1)
  t.equal(Buffer.concat(others).length, body.length - refLine('refs/tags/t03000^{}').length)
  t.ok(
    chunks.filter((chunk) => listing.chunks.includes(chunk)).length > 1,
    'blocks without attributes are the same',
  )
})

const otherId = '2'.repeat(40)
const heads: Record<string, { readonly listed: Buffer[]; readonly caps: string; readonly shown: boolean }> = {
  'symbolic HEAD': {
    listed: [refLine('HEAD', ' symref-target:refs/heads/b00000')],
    caps: 'caps symref=HEAD:refs/heads/b00000',
    shown: true,
  },
  'detached HEAD': { listed: [refLine('HEAD')], caps: 'caps', shown: true },
  'unborn HEAD': {
    listed: [pktLine('unborn HEAD symref-target:refs/heads/x\n')],
    caps: 'caps',
    shown: false,
  },
  'no HEAD': { listed: [], caps: 'caps', shown: false },
}
const attributes = { plain: '', peeled: ` peeled:${otherId}`, symbolic: ' symref-target:refs/heads/b00001' }
for (const [what, { listed, caps, shown }] of Object.entries(heads)) {
  // One ref, some in one block, and several blocks.
  for (const count of [1, 2, 50, 3000]) {
    t.test(`${what} and ${count} refs`, async (t) => {
      for (const [kind, attribute] of Object.entries(attributes)) {
        const names = Array.from({ length: count }, (_, at) => `refs/heads/b${String(at).padStart(5, '0')}`)
        const listing = new RefListing()
        const lines = names.map((name) => refLine(name, attribute))
        listing.append(Buffer.concat([...listed, ...lines, flushPacket]))
        t.equal(listing.blocks.length > 1, count === 3000)
        const shownNames = [...(shown ? ['HEAD'] : []), ...names]
        const expected = shownNames.flatMap((name, at) => [
          pktLine(`${id} ${name}${at === 0 ? `\0${caps}` : ''}\n`),
          ...(kind === 'peeled' && name !== 'HEAD' ? [pktLine(`${otherId} ${name}^{}\n`)] : []),
        ])
        const body = Buffer.concat([service, ...expected, flushPacket])
        const chunks = await (await read(body, 65_536))!.advertise(listing)
        t.ok(Buffer.concat(chunks ?? []).equals(body), kind)
        t.ok(chunks?.every(({ length }) => length > 0))
      }
    })
  }
}

t.test('the lines of a large listing are written in turns', async (t) => {
  const names = Array.from({ length: 60_000 }, (_, at) => `refs/tags/t${String(at).padStart(5, '0')}`)
  const listing = new RefListing()
  listing.append(Buffer.concat([...names.map((name) => refLine(name, attributes.peeled)), flushPacket]))
  const first = pktLine(`${id} refs/tags/t00000\0caps\n`)
  const frame = (await read(Buffer.concat([service, first, flushPacket])))!
  let isOther = false
  setImmediate(() => (isOther = true))
  t.ok(await frame.advertise(listing))
  t.ok(isOther)
})

t.test('what is not an advertisement with refs is not understood', async (t) => {
  const first = pktLine(`${id} HEAD\0caps\n`)
  const ref = refLine('refs/heads/main')
  const shallow = pktLine(`shallow ${id}\n`)
  const bodies: Record<string, Buffer[]> = {
    nothing: [],
    'no flush packet': [service, first, ref],
    'a packet that is cut': [service, first, ref, Buffer.from('00')],
    'more behind the end': [service, first, flushPacket, Buffer.from('0')],
    'another packet behind the end': [service, first, flushPacket, flushPacket],
    'no service': [first, flushPacket],
    'another version': [service, pktLine('version 2\n'), first, flushPacket],
    'no capabilities': [service, ref, flushPacket],
    'no refs': [service, pktLine(`${'0'.repeat(40)} capabilities^{}\0caps\n`), flushPacket],
    'a ref behind shallow commits': [service, first, shallow, ref, flushPacket],
    'something else': [service, first, pktLine('something\n'), flushPacket],
    'a packet without content': [service, first, Buffer.from('0004'), flushPacket],
    'a length that is none': [service, first, Buffer.from('xxxx'), flushPacket],
    'a symbolic ref besides HEAD': [service, pktLine(`${id} HEAD\0symref=refs/x:refs/y\n`), flushPacket],
    'an error': [service, pktLine('ERR no\n')],
  }
  for (const [what, packets] of Object.entries(bodies))
    for (const size of [3, 1000]) t.equal(await read(Buffer.concat(packets), size), undefined, what)
  t.ok(await read(Buffer.concat([service, first, ref, shallow, flushPacket])))
})
