import t, { type Test } from 'tap'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokens } from '../../src/access/tokens.js'
import { tempDir } from '../support/temp-dir.js'

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex')

function read(t: Test, text: string): Tokens {
  const file = join(tempDir(t), 'tokens')
  writeFileSync(file, text)
  return Tokens.read(file)
}

t.test('a token belongs to its name, and a name may have several', async (t) => {
  const tokens = read(
    t,
    `# comment\n\nops:${sha256('one')}\nops:${sha256('two').toUpperCase()}\nci:${sha256('three')}\n`,
  )
  t.same(
    ['one', 'two', 'three', 'four', '', sha256('one')].map((token) => tokens.nameOf(token)),
    ['ops', 'ops', 'ci', undefined, undefined, undefined],
  )
  t.ok(tokens.matchAnyOf('Bearer one'))
  t.notOk(tokens.matchAnyOf('Bearer four'))
  t.notOk(tokens.matchAnyOf(`Basic ${Buffer.from('ops:one').toString('base64')}`))
  t.notOk(tokens.matchAnyOf(undefined))
  t.notOk(tokens.matchAnyOf(['Bearer one', 'Bearer one']))
})

t.test('errors name the line, and quote nothing of it', async (t) => {
  for (const line of ['secret', 'ops:secret', `:${sha256('x')}`, `ops:${sha256('x')}0`, sha256('x')]) {
    try {
      read(t, `ops:${sha256('one')}\n${line}\n`)
      t.fail(`no error: ${line}`)
    } catch (error) {
      t.match((error as Error).message, /tokens:2: expected a name, a colon and a SHA-256/)
      t.notMatch((error as Error).message, line)
    }
  }
})
