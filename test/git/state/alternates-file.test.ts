import t from 'tap'
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathBytes } from '../../../src/git/filesystem/byte-path.js'
import { realPath } from '../../../src/git/filesystem/real-path.js'
import { parseAlternates } from '../../../src/git/state/alternates-file.js'
import { gitWith, initBare } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const parse = (text: string): string[] => parseAlternates(Buffer.from(text, 'latin1'))

t.test('paths are lines, without comments and empty lines', async (t) => {
  t.same(parse(''), [])
  t.same(parse('\n\n'), [])
  t.same(parse('/a/objects\n'), ['/a/objects'])
  t.same(parse('/a\n#/b\n\n../c # d\n /e\r\n#'), ['/a', '../c # d', ' /e\r'])
  t.same(parse('/without/newline'), ['/without/newline'])
  t.same(parse('/a\n/b\0/c\n/d\n'), ['/a', '/b'], 'up to the first NUL')
  t.same(parse('/caf\xe9\n/caf\xc3\xa9\n'), ['/caf\udce9', '/café'], 'bytes')
})

t.test('a path in double quotes is quoted as in C', async (t) => {
  t.same(parse('"/a b"\n/c\n'), ['/a b', '/c'])
  t.same(parse(String.raw`"\"\\\a\b\f\n\r\t\v\303\251\001"`), ['"\\\x07\b\f\n\r\t\v\u00e9\x01'])
  t.same(parse('"/a\n/b"\n/c'), ['/a\n/b', '/c'], 'over the end of a line')
  t.same(parse('""\n/c\n'), ['/c'])
  t.same(parse(String.raw`"/a\000b"`), ['/a'])
  t.same(parse('"/a"x/b\n/c\n'), ['/a', '/b', '/c'], 'one character is skipped after it')
  for (const broken of ['"/a', String.raw`"/a\x"`, String.raw`"/a\400"`, String.raw`"/a\08"`, '"/a\\'])
    t.same(parse(`${broken}\n/c\n`), [broken, '/c'], broken)
})

t.test('Git reads the same', async (t) => {
  const root = realpathSync(tempDir(t))
  const path = initBare(root, 'r.git')
  // Of each directory that exists, Git tells that it is an alternate.
  const names = [
    ...[
      'plain',
      'a b',
      '#c',
      '"d',
      '"e"',
      ' f',
      'g\r',
      'h"i',
      '\u00e9',
      'caf\udce9',
      'n\nm',
      '\\',
      'x#y',
      'z\\t',
    ],
  ]
  for (const name of names) mkdirSync(pathBytes(join(root, name)))
  const contents = [
    ...names.map((name) => `${root}/${name}\n`),
    ...names.map((name) => `../../${name}`),
    ...names.map((name) => `"${root}/${name}"\n`),
    ...names.map((name) => `#${root}/${name}\n${root}/plain\n`),
    ...names.map((name) => `"${root}/plain"${name}\n../../a b\n`),
    `"${root}/caf\\351"\n"${root}/n\\nm"x${root}/plain\n\n"${root}/\\\\"`,
    `${root}/plain\0\n${root}/a b\n`,
    `"${root}/plain\\000x"\n${root}/plain/\n${root}/./plain\n${root}/none\n`,
  ]
  const exists = (name: string): string | undefined => {
    try {
      const absolute = name.startsWith('/') ? name : `${path}/objects/${name}`
      return pathBytes(realPath(absolute)).toString('latin1')
    } catch {
      return undefined
    }
  }
  for (const text of contents) {
    const bytes = pathBytes(text)
    writeFileSync(join(path, 'objects/info/alternates'), bytes)
    const output = gitWith({ cwd: path, encoding: 'latin1' }, 'count-objects', '-v')
    const told = output.match(/^alternate: (?:"[^"\n]*(?:\\.[^"\n]*)*"|.*)$/gm) ?? []
    const read = [
      ...new Set(
        parseAlternates(bytes)
          .map(exists)
          .filter((name) => name !== undefined),
      ),
    ]
    const quoted = read.map((name) => `alternate: ${quoteC(name)}`)
    t.same(told, quoted, JSON.stringify(text))
  }
})

/** As Git writes a path that has special characters (quote_c_style() in quote.c). */
function quoteC(path: string): string {
  if (!/[^ -~]|["\\]/.test(path)) return path
  const short: Record<string, string> = { '\n': 'n', '\r': 'r', '\t': 't', '"': '"', '\\': '\\' }
  const octal = (each: string): string => each.charCodeAt(0).toString(8).padStart(3, '0')
  return `"${path.replace(/[^ -~]|["\\]/g, (each) => `\\${short[each] ?? octal(each)}`)}"`
}
