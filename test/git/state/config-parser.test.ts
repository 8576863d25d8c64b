import t from 'tap'
import { deepStrictEqual } from 'node:assert'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { parseConfig, type ConfigVariable } from '../../../src/git/state/config-parser.js'
import { gitEnvironment } from '../../support/repositories.js'
import { tempDir } from '../../support/temp-dir.js'

const file = join(tempDir(t), 'config')

/** The variables that Git reads in a configuration file; undefined: it refuses the file. */
function gitConfig(text: string): ConfigVariable[] | undefined {
  writeFileSync(file, text)
  const { status, stdout } = spawnSync('git', ['config', '--list', '-z', '-f', file], { env: gitEnvironment })
  if (status !== 0) return undefined
  return stdout
    .toString()
    .split('\0')
    .slice(0, -1)
    .map((entry) => {
      const [, key = '', value] = /^([^\n]*)(?:\n([^]*))?$/.exec(entry) ?? []
      const name = key.includes('.') ? `${key.split('.', 1)[0]}.${key.slice(key.lastIndexOf('.') + 1)}` : key
      return { name: name.toLowerCase(), value }
    })
}

function parsed(text: string): ConfigVariable[] | undefined {
  try {
    return parseConfig(text)
  } catch {
    return undefined
  }
}

/** Git 2.39 turns a blank inside a value into a space, Git 2.45 keeps it. */
const blanksAsSpaces = (variables: ConfigVariable[] | undefined): ConfigVariable[] | undefined =>
  variables?.map(({ name, value }) => ({ name, value: value?.replace(/[\t\r]/g, ' ') }))

t.test('each part of the syntax is read as Git reads it', async (t) => {
  const texts = {
    'comments and blank lines': '# one\n\n; two\n  \t# three\n[a] # four\nb = c ; five\n',
    'quotes and blanks': '[a]\nb =  two  words \t\nc = " kept "\nd = a" b "c  # no\ne = "# ;"\n',
    escapes: '[a]\nb = \\"\\\\\\t\\n\\b|\n',
    continuations: '[a]\nb = one \\\n  two \\\n\nc = "x \\\n y"\nd = # \\\ne = 1\n',
    'no value, an empty one, and none at the end': '[a]\nb\nc =\nd=""\ne \n[f]g',
    'line ends of DOS': '[a]\r\nb = c \r\nd\r\ne = "f" \r\ng = h \\\r\n i\r\n',
    'byte order mark': '\uFEFF[a]\nb = c\n',
    'more than one thing on a line': '[a]b=c\n[d "e"] f = g\n[h][i]j=k\n',
    'letter case': '[SecTion "SubSection"]\nKey-Name = Value\n',
    subsections: '[a "b.c \\" \\\\ ]"]\nd = e\n[a.b.C]\nf = g\n[a\t \t"x"]\ny\n',
    'the file ends in the middle': '[a]\nb = c\\',
    'a variable without a section': 'a = b\n[c]\nd = e\n',
    'sections without a name': '[ "a"]\nb = c\n[.]\nd = e\n',
    'not ASCII': '[a "é"]\nb = ☃\n',
  }
  for (const [name, text] of Object.entries(texts)) {
    const expected = blanksAsSpaces(gitConfig(text))
    t.ok(expected, `Git accepts: ${name}`)
    t.same(blanksAsSpaces(parsed(text)), expected, name)
  }
})

t.test('lines that Git refuses are errors', async (t) => {
  const texts = {
    'a quote that is not closed': '[a]\nb = "c\nd = e\n',
    'an unknown escape': '[a]\nb = \\q\n',
    'a header that is not closed': '[a\nb = c\n',
    'a header without a name': '[]\nb = c\n',
    'a subsection without blanks before it': '[a"b"]\nc = d\n',
    'a subsection over two lines': '[a "b\nc"]\nd = e\n',
    'a name that begins with a digit': '[a]\n1b = c\n',
    'two words': '[a]\nb c\n',
    'half a byte order mark': '\u{FEFE}[a]\nb = c\n',
  }
  for (const [name, text] of Object.entries(texts)) {
    t.equal(gitConfig(text), undefined, `Git refuses: ${name}`)
    t.equal(parsed(text), undefined, name)
  }
})

t.test('random files that Git accepts are accepted and read in the same way', async (t) => {
  // Pieces whose combinations are hard to foresee.
  const structure = [
    '[a]',
    '[b.C]',
    '[d "e"]',
    '[f "\\""]',
    '[',
    ']',
    '=',
    ' = ',
    '\n',
    '\n',
    '\r\n',
    '\r',
    '\\\n',
  ]
  const text = [
    'x',
    'Y-1',
    '"',
    '"',
    '\\',
    '\\n',
    '\\"',
    '#',
    ';',
    ' ',
    '\t',
    '.',
    '-',
    '0',
    '~/',
    'é',
    '\uFEFF',
  ]
  const soup = fc.array(fc.constantFrom(...structure, ...text), { maxLength: 14 }).map((all) => all.join(''))
  // Mostly well-formed: random pieces as a value.
  const value = fc.array(fc.constantFrom(...text, '\\\n', '\\\r\n', '\r'), { maxLength: 8 })
  const lines = fc
    .array(fc.tuple(fc.constantFrom('x = ', 'x=', 'y', '[s "t"] z = ', '# '), value), { maxLength: 5 })
    .map((all) => `[a]\n${all.map(([start, rest]) => `${start}${rest.join('')}\n`).join('')}`)

  let accepted = 0
  fc.assert(
    fc.property(fc.oneof(soup, lines), (config) => {
      const expected = blanksAsSpaces(gitConfig(config))
      if (!expected) return
      accepted++
      deepStrictEqual(blanksAsSpaces(parsed(config)), expected)
    }),
    { numRuns: 600 },
  )
  t.ok(accepted > 100, `Git accepted ${accepted}`)
})
