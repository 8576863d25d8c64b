import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readRules, Rules } from '../../src/access/rules.js'
import { tempDir } from '../support/temp-dir.js'

const repository = (path: string) => ({ path, refersTo: () => true })

t.test('the first rule for the action whose glob matches decides', async (t) => {
  const rules = new Rules([
    { glob: 'secret/**', action: 'read', names: ['admin', 'audit-*'] },
    { glob: '**', action: 'push', names: ['admin'] },
    { glob: 'pub/**', action: 'read', names: ['anyone'] },
    { glob: '!pub/**', action: 'read', names: ['*'] },
  ])
  const rows: [action: 'read' | 'push', path: string, user: string | undefined, allowed: boolean][] = [
    ['read', 'secret/a.git', 'admin', true],
    ['read', 'secret/a.git', 'audit-1', true],
    ['read', 'secret/a.git', 'bob', false],
    ['read', 'secret/a.git', undefined, false],
    ['push', 'secret/a.git', 'admin', true],
    ['push', 'pub/a.git', 'bob', false],
    ['read', 'pub/a.git', undefined, true],
    ['read', 'other.git', 'bob', true],
    ['read', 'other.git', '', true],
    ['read', 'other.git', undefined, false],
  ]
  for (const [action, path, user, allowed] of rows)
    t.equal(rules.allow(action, repository(path), user), allowed, `${action} ${path} ${user}`)
})

t.test('without a rule for the action, access is denied', async (t) => {
  const rules = new Rules([{ glob: '**', action: 'read', names: ['anyone'] }])
  t.notOk(rules.allow('push', repository('a'), 'alice'))
  t.notOk(new Rules([]).allow('read', repository('a'), 'alice'))
})

t.test('a file has a rule on each line; one that cannot be used is named by its line', async (t) => {
  const path = join(tempDir(t), 'rules')
  const read = (text: string) => {
    writeFileSync(path, text)
    return readRules(path)
  }
  t.same(read('# public\n\n  pub/{a,b}=read:anyone\n**=push:alice + ci-*'), [
    { glob: 'pub/{a,b}', action: 'read', names: ['anyone'] },
    { glob: '**', action: 'push', names: ['alice', 'ci-*'] },
  ])
  const bad: [string, RegExp][] = [
    ['a=read:x\na=write:x', /rules:2: .*expected GLOB=read:NAMES/],
    ['a=read:', /rules:1: /],
    ['a(b=read:x', /rules:1: .*not a glob/],
    ['', /rules: there is no rule/],
    ['# none\n', /rules: there is no rule/],
  ]
  for (const [text, message] of bad) t.throws(() => read(text), { message }, JSON.stringify(text))
})
