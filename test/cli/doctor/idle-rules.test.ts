import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeIdleRules } from '../../../src/cli/doctor/idle-rules.js'
import { readFlags, resolveSettings } from '../../../src/config/settings.js'
import { tempDir } from '../../support/temp-dir.js'

const settings = (flags: Record<string, unknown>) => resolveSettings(readFlags({ root: '/r', ...flags }))

t.test('each rule that applies to no repository has a line', async (t) => {
  const rules = settings({ access: 'a=read:x, b=push:y+z, **=read:anyone', freshness: 'c/*=lease, auto' })
  t.match(describeIdleRules(rules, ['a.git', 'd/e.git']), [
    /^--access: the rule b=push:y\+z matches no repository;/,
    /^--freshness: the rule c\/\*=lease matches no repository;/,
  ])
  t.equal(describeIdleRules(rules, ['a.git', 'd/e.git']).length, 2)
  t.same(describeIdleRules(rules, ['a.git', 'b.git', 'c/x.git']), [])
})

t.test('without repositories, no rule is reported', async (t) => {
  t.same(describeIdleRules(settings({ access: 'a=read:x' }), []), [])
})

t.test('so has each rule of a file', async (t) => {
  const accessFile = join(tempDir(t), 'rules')
  writeFileSync(accessFile, 'a=read:x\nb=read:y\n')
  t.match(describeIdleRules(settings({ accessFile }), ['a.git']), [
    /^--access-file: the rule b=read:y matches no/,
  ])
})
