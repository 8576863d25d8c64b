import t from 'tap'
import fc from 'fast-check'
import { parseClientConfig } from '../../../src/git/process/client-config.js'

t.test('variables that change an advertisement are accepted, in any case', async (t) => {
  t.same(
    parseClientConfig([
      ...[
        'transfer.hideRefs=refs/a=b',
        'Uploadpack.HIDEREFS=!refs/x',
        'uploadpack.allowFilter',
        'lsrefs.unborn=',
      ],
      ...[
        'uploadpackfilter.allow=false',
        'uploadpackfilter.blob:none.allow=true',
        'uploadpackfilter.tree.maxDepth=3',
      ],
    ]),
    [
      ['transfer.hiderefs', 'refs/a=b'],
      ['uploadpack.hiderefs', '!refs/x'],
      ['uploadpack.allowfilter', 'true'],
      ['lsrefs.unborn', ''],
      ['uploadpackfilter.allow', 'false'],
      ['uploadpackfilter.blob:none.allow', 'true'],
      ['uploadpackfilter.tree.maxdepth', '3'],
    ],
  )
  t.same(parseClientConfig([]), [])
})

t.test('all others are refused by name: those that start programs, read files, or are no keys', async (t) => {
  for (const key of [
    ...['uploadpack.packObjectsHook', 'UPLOADPACK.PACKOBJECTSHOOK', 'uploadpack.x.packObjectsHook'],
    ...['core.fsmonitor', 'core.hooksPath', 'core.sshCommand', 'core.alternateRefsCommand', 'core.gitProxy'],
    ...[
      'include.path',
      'includeIf.gitdir:/.path',
      'safe.directory',
      'alias.x',
      'http.uploadpack',
      'extensions.x',
    ],
    ...[
      '',
      ' uploadpack.hideRefs',
      'uploadpack.hideRefs\n',
      'uploadpack',
      'uploadpackfilter.a\nb.allow',
      '-c',
    ],
  ]) {
    const answer = parseClientConfig(['transfer.hideRefs=refs/a', `${key}=x`])
    t.match(answer, { refused: `config option ${JSON.stringify(key)} is not allowed` }, key)
  }
  for (const value of ['a\nb', 'a\0b', '\x7f', 'x'.repeat(5000)]) {
    t.match(parseClientConfig([`transfer.hideRefs=${value}`]), { refused: /bad value/ })
  }
  t.match(parseClientConfig(Array<string>(257).fill('transfer.hideRefs=x')), { refused: /more than 256/ })
})

t.test('no other key is ever accepted', async () => {
  const key = fc.oneof(
    fc.string(),
    fc.stringMatching(/^(uploadpack|transfer|core|uploadpackfilter)\.[a-zA-Z.:=]*$/),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.string({ unit: 'binary' }))), (options) => {
      const answer = parseClientConfig(options.map(([name, value]) => `${name}=${value}`))
      if ('refused' in answer) return true
      return answer.every(([name, value]) => {
        const known = /^(transfer|uploadpack|uploadpackfilter|lsrefs|receive|protocol)\.[a-z0-9.:]+$/.test(
          name,
        )
        return known && !name.includes('hook') && !value.includes('\0') && !value.includes('\n')
      })
    }),
  )
})
